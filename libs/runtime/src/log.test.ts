import { NestLog } from './log.js';
import { recordingLog } from './test-support/log-lines.js';

describe('the log', () => {
  it('names the service, and hides tokens, passwords and what people wrote', () => {
    const { log, lines, text } = recordingLog();
    log.info(
      {
        token: 's3cret',
        headers: { authorization: 's3cret' },
        request: { body: { text: 's3cret' } },
        password: 's3cret',
      },
      'x',
    );
    expect(text()).not.toContain('s3cret');
    expect(text()).toContain('"service":"message-api"');
    expect(lines).toBeDefined();
  });

  it('tells of an error what it is and what caused it, and nothing that a driver hung on it', () => {
    const { log, text } = recordingLog();
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (text)=(s3cret)',
      parameters: ['s3cret'],
    });
    log.error({ err: new Error('could not append', { cause }) }, 'failed');
    expect(text()).toContain('could not append');
    expect(text()).toContain('duplicate key');
    expect(text()).toContain('23505');
    expect(text()).not.toContain('s3cret');
  });

  it("takes Nest's lines, with their context", () => {
    const recorded = recordingLog();
    new NestLog(recorded.log).error('broken', 'a stack', 'RoutesResolver');
    expect(recorded.lines).toMatchObject([{ level: 50, msg: 'broken', context: 'RoutesResolver' }]);
  });
});
