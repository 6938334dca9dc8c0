import { inParts, readText, type Names } from './text.js';

const names: Names = {
  user: (id, label) => (id === 'U1' ? 'Mara' : (label ?? id)),
  channel: (id) => (id === 'C1' ? 'general' : id),
};
const read = (raw: string) => readText(raw, names);

describe('the text of an exported message', () => {
  it.each([
    ['Depth &lt; 3 m &amp; falling &gt; 1 m', 'Depth < 3 m & falling > 1 m'],
    ['&amp;lt; is decoded once', '&lt; is decoded once'],
    ['see <https://a.example/b|the table>', 'see the table (https://a.example/b)'],
    ['see <http://a.example|a.example>', 'see http://a.example'],
    ['see <https://a.example?a=1&amp;b=2>', 'see https://a.example?a=1&b=2'],
    ['<mailto:m@a.example|m@a.example>', 'mailto:m@a.example'],
    ['in <#C1> and <#C2|random>', 'in #general and #random'],
    ['<!subteam^S1|@crew> at <!date^1^{time}|14:20>', '@crew at 14:20'],
    ['a lone surrogate \uD800 and a NUL \0', 'a lone surrogate \uFFFD and a NUL \uFFFD'],
  ])('%j reads %j', (raw, text) => expect(read(raw)).toEqual({ text, named: [], everyone: false }));

  it('names each user once, by the name they have', () => {
    expect(read('<@U1>, <@U1|m> and <@U2|ole>')).toEqual({
      ...{ text: '@Mara, @Mara and @ole', named: ['U1', 'U2'], everyone: false },
    });
  });

  it.each(['channel', 'here', 'everyone'])('calls everyone by <!%s>', (command) => {
    expect(read(`<!${command}|label> now`)).toMatchObject({ text: `@${command} now`, everyone: true });
  });

  it('takes nothing for markup that somebody typed', () => {
    expect(read('&lt;@U1&gt; &lt;!channel&gt;')).toEqual({
      ...{ text: '<@U1> <!channel>', named: [], everyone: false },
    });
  });

  it('is cut into parts between characters, and none is lost', () => {
    const text = '🌊'.repeat(8_001);
    expect(inParts(text).map((part) => [...part].length)).toEqual([8_000, 1]);
    expect(inParts(text).join('')).toBe(text);
    expect(inParts('short')).toEqual(['short']);
  });
});
