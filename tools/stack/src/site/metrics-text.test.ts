import { sumOf } from './metrics-text.js';

const page = `# HELP tidemark_sends_total Sends, by what became of them.
# TYPE tidemark_sends_total counter
tidemark_sends_total{service="message-api",outcome="appended"} 7
tidemark_sends_total{service="message-api",outcome="duplicate"} 2
tidemark_sends_total_more 100
tidemark_sends_total{service="message-api",outcome="appended"} 5
tidemark_connections 3
`;

describe('a metrics page', () => {
  it('is added up over instances, by its labels', () => {
    expect(sumOf(page, 'tidemark_sends_total')).toBe(14);
    expect(sumOf(page, 'tidemark_sends_total', 'outcome="appended"')).toBe(12);
    expect(sumOf(page, 'tidemark_connections')).toBe(3);
    expect(sumOf(page, 'tidemark_nothing')).toBe(0);
  });
});
