export { type DevClaims } from './dev-token.js';
export { StackOptionsError, type StackOptions } from './options.js';
export { ServiceInstance } from './service-instance.js';
export { type StackDescription } from './stack-file.js';
export { AlreadyRunningError } from './stack-folder.js';
export { startStack, Stack } from './stack.js';
export { type ServiceName } from '@tidemark/contracts';
