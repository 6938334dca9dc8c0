import { setTimeout as delay } from 'node:timers/promises';
import type { Count, Unread } from '@tidemark/contracts';
import { isTemporary, RefusedError } from './api.js';
import type { Device } from './device.js';
import type { Random } from './random.js';
import type { RunState } from './run-state.js';

/** How a client uses the system. Everybody also asks for their counts now and then. */
export type Temperament = 'prompt' | 'late' | 'unreader' | 'roamer';

const PROMPT_PAUSE_MS = 100;
const TURN_MS = { min: 300, max: 2_000 };
/** How far back somebody marks unread. */
const BACK_MAX = 300;
const SIMULTANEOUS_REPORTS = 0.3;

/** Acts for a client until told to stop. */
export class Behaviour {
  private stopped = false;
  private running: Promise<unknown> = Promise.resolve();
  private reading = false;

  constructor(
    readonly device: Device,
    private readonly temperament: Temperament,
    private readonly random: Random,
    private readonly state: RunState,
  ) {}

  start(): void {
    if (this.temperament === 'prompt') this.device.onEvents = () => void this.readAtOnce();
    this.running = this.live();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
    while (this.reading) await delay(5);
  }

  /** One last read of everything, and none after it. */
  async fallQuiet(): Promise<void> {
    const { person } = this.device;
    person.quiet = true;
    const reports = this.unreported();
    if (this.device.connected && reports.length > 0) await this.device.read(reports);
  }

  private async live(): Promise<void> {
    while (!this.stopped) {
      await delay(this.random.between(TURN_MS.min, TURN_MS.max));
      if (this.stopped) return;
      // A refusal is counted by who was refused; a client goes on.
      await this.act().catch((error: unknown) => {
        if (!isTemporary(error) && !(error instanceof RefusedError)) throw error;
      });
    }
  }

  private async act(): Promise<void> {
    const { random } = this;
    if (random.chance(0.1) || this.device.person.quiet) return this.askUnread();
    switch (this.temperament) {
      case 'prompt':
        return this.readAtOnce();
      case 'late':
        return this.readSome();
      case 'unreader':
        return random.chance(0.3) ? this.markUnread() : this.readSome();
      case 'roamer':
        return random.chance(0.4) ? this.roam() : this.readSome();
    }
  }

  /** Everything that has come, as soon as it has; what comes while an answer is awaited goes into the next report. */
  private async readAtOnce(): Promise<void> {
    if (this.reading || this.device.person.quiet) return;
    this.reading = true;
    try {
      for (let reports = this.unreported(); reports.length > 0 && this.device.connected;) {
        await this.device.read(reports);
        if (this.stopped || this.device.person.quiet) return;
        await delay(PROMPT_PAUSE_MS);
        reports = this.unreported();
      }
    } finally {
      this.reading = false;
    }
  }

  private unreported() {
    const { delivery, person } = this.device;
    return delivery.memberOf().flatMap((channelId) => {
      const seq = delivery.seen(channelId);
      const stands = person.stands.get(channelId);
      if (seq <= (stands?.cursor ?? 0)) return [];
      return [{ channelId, seq, ...(this.random.chance(0.5) && stands && { term: stands.term }) }];
    });
  }

  /** Somewhere up to what has come; sometimes two reports at once, the older one last, and of an old term. */
  private async readSome(): Promise<void> {
    const { device, random } = this;
    const channels = device.delivery.memberOf();
    if (channels.length === 0) return;
    const channelId = random.pick(channels);
    const stands = device.person.stands.get(channelId) ?? { term: 1, cursor: 0 };
    const seen = device.delivery.seen(channelId);
    if (seen === 0) return;
    const seq = random.between(Math.min(stands.cursor, seen), seen);
    const report = { channelId, seq, ...(random.chance(0.7) && stands.term > 0 && { term: stands.term }) };
    if (!random.chance(SIMULTANEOUS_REPORTS)) return device.read([report]);
    const older = {
      channelId,
      seq: random.between(0, seq),
      term: random.between(1, Math.max(1, stands.term)),
    };
    await Promise.all([device.read([report]), device.read([older])]);
  }

  private async markUnread(): Promise<void> {
    const { device, random, state } = this;
    const { person } = device;
    const channels = device.delivery.memberOf();
    if (channels.length === 0) return;
    const channelId = random.pick(channels);
    const member = { userId: person.id, channelId };
    await person.inTurn(channelId, async () => {
      const seen = device.delivery.seen(channelId);
      if (!state.ledger.isMember(member) || seen === 0) return;
      const fromSeq = Math.max(1, seen - random.between(0, BACK_MAX));
      const settled = state.ledger.attempt(member, {
        term: (state.ledger.versionOf(member)?.term ?? 0) + 1,
        cursor: fromSeq - 1,
      });
      const ask = { service: 'read-status-service', token: person.token() } as const;
      try {
        const count = await state.api.askOnce<Count>({
          ...{ ...ask, method: 'POST', path: `/v1/channels/${channelId}/unread`, body: { fromSeq } },
        });
        settled();
        state.tally.markUnreads += 1;
        state.ledger.markedUnread(member, count);
        state.answers.add(person.id, count);
        person.sees(channelId, count);
      } catch (error) {
        if (!isTemporary(error)) {
          settled();
          throw error;
        }
        // Asking again would raise the term again. Whether it was raised, the next answer says.
        const { body } = await state.api.ask<Unread>({
          ...{ ...ask, method: 'POST', path: '/v1/unread/query', body: { channelIds: [channelId] } },
        });
        const [count] = body.items;
        if (count && count.term > (state.ledger.versionOf(member)?.term ?? 0))
          state.ledger.markedUnread(member, count);
        settled();
        if (count) person.sees(channelId, count);
      }
    });
  }

  /** Goes away for a while, and takes up where it was; now and then like a new device that knows nothing. */
  private async roam(): Promise<void> {
    await this.device.disconnect();
    await delay(this.random.between(50, 2_500));
    await this.device.connect({ resume: this.random.chance(0.85) });
  }

  private async askUnread(): Promise<void> {
    const { device, state, random } = this;
    const { person, latest } = device;
    const held = latest && random.chance(0.7) ? latest : null;
    const request = { service: 'read-status-service', token: person.token() } as const;
    const consistency = held ? { consistency: held.token } : {};
    const { body } = random.chance(0.6)
      ? await state.api.ask<Unread>({ ...request, ...consistency, method: 'GET', path: '/v1/unread' })
      : await state.api.ask<Unread>({
          ...{ ...request, ...consistency, method: 'POST', path: '/v1/unread/query' },
          body: { channelIds: device.delivery.memberOf().slice(0, 3) },
        });
    state.answers.addUnread(person.id, body, held ?? undefined);
  }
}
