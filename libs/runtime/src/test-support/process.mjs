// A service of our own, as its built code runs: what service.test.ts starts, signals and kills.
import 'reflect-metadata';
import { Controller, Get } from '@nestjs/common';
import { createHttpApp, Drain, Public, runService } from '@tidemark/runtime';

const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class TrialController {
  constructor(drain) {
    this.drain = drain;
  }

  async slow() {
    process.stdout.write('slow begins\n');
    await later(300);
    return { slow: 'ended' };
  }

  hang() {
    this.drain.onDrain('hangs', () => new Promise(() => {}));
    return {};
  }

  crash() {
    setImmediate(() => {
      throw new Error('crashed');
    });
    return {};
  }

  reject() {
    void Promise.reject(new Error('rejected'));
    return {};
  }
}
for (const name of ['slow', 'hang', 'crash', 'reject']) {
  Get(name)(
    TrialController.prototype,
    name,
    Object.getOwnPropertyDescriptor(TrialController.prototype, name),
  );
}
Reflect.defineMetadata('design:paramtypes', [Drain], TrialController);
Controller()(TrialController);
Public()(TrialController);

class TrialModule {}

await runService('message-api', (runtime) =>
  createHttpApp({ module: TrialModule, controllers: [TrialController] }, runtime),
);
