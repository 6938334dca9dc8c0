export { AuthGuard } from './auth/auth.guard.js';
export { AdminOnly, CurrentUser, Public } from './auth/decorators.js';
export { signDevToken, type DevTokenClaims } from './auth/dev-token.js';
export { Authenticator, IdentityStore, type Identity } from './auth/identity.js';
export { Revocations, type Revocation } from './auth/revocations.js';
export { TokenVerifier } from './auth/token-verifier.js';
export {
  ConfigError,
  isOriginAllowed,
  keptUnder,
  type Kept,
  loadConfig,
  loadConfigOrExit,
  loadDatabaseUrlOrExit,
  type Config,
  type ReadStatusStrategyName,
  type RedisAddress,
  type ServiceName,
} from './config.js';
export { Drain, type DrainStage } from './drain.js';
export { Health, type HealthCheck } from './health.js';
export { createHttpApp, type HttpAppOptions } from './http/http-app.js';
export { refuseUnsafe } from './http/json-body.js';
export { afterCursor, pageOf } from './http/page-cursor.js';
export { ZBody, ZParams, ZQuery } from './http/validation.js';
export { createLog, LOG, type Log } from './log.js';
export { Lru } from './lru.js';
export { Metrics } from './metrics.js';
export { invalidRequest, ProblemError, sendProblem, toProblemError } from './problems.js';
export { CONFIG, createRuntime, RuntimeModule, type Runtime } from './runtime.js';
export { runService } from './service.js';
export { isTemporary } from './temporary-errors.js';
export { TokenBucket } from './token-bucket.js';
export {
  activeSpan,
  fail as failSpan,
  followUp,
  inSpan,
  isTracing,
  linkOnward,
  startTrace,
  traceParentOf,
  type Span,
  type TraceParent,
} from './tracing/spans.js';
