import type { Community } from './community.js';
import type { Stack } from './stack.js';

/**
 * What to try, to be pasted as it is. Comments stand alone and hold no quote or sign: an interactive zsh takes them
 * for commands.
 */
export function guideTo(
  stack: Stack,
  community: Community | null,
  folders: { project: string; logs: string; site?: string | undefined },
): string {
  const { services } = stack;
  const api = services['message-api'][0]?.url;
  const gateway = services['realtime-gateway'][0]?.url;
  const reads = services['read-status-service'][0]?.url;
  const curl = `curl -sSw '\\n'`;
  const json = `-H 'content-type: application/json'`;
  const me = `-H "authorization: Bearer $TOKEN"`;
  const field = (name: string) => `sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/'`;
  const channel = community
    ? `CHANNEL=${community.generalId}`
    : `CHANNEL=$(${curl} ${api}/v1/channels ${me} ${json} -d '{"name":"general","visibility":"public"}' | ${field('id')})`;
  const listener = [
    `const socket = require("socket.io-client")("${gateway}", {auth: {token: process.argv[1]}, transports: ["websocket"]})`,
    `socket.onAny((...event) => console.log(JSON.stringify(event)))`,
    `socket.on("connect_error", (error) => console.log(error.message, error.data))`,
  ].join('; ');

  const running = Object.entries(services).map(
    ([name, instances]) => `  ${name.padEnd(20)} ${instances.map(({ url }) => url).join('  ')}`,
  );
  const page = folders.site
    ? `Open it in a browser, as several people side by side:

  ${folders.site}/?as=ada,grace,linus

`
    : '';
  return `
Tidemark is up.

${running.join('\n')}
  ${'PostgreSQL'.padEnd(20)} ${[stack.databaseUrl, ...stack.replicaUrls].join('  ')}
  ${'Redis'.padEnd(20)} ${stack.redisUrls.join('  ')}
  ${'API documentation'.padEnd(20)} ${api}/docs  ${reads}/docs
  ${'Logs'.padEnd(20)} ${folders.logs}

${page}Try it in another terminal:

  # a token for ada and her channel
  TOKEN=$(${curl} ${api}/dev/token ${json} -d '{"user":"ada","name":"Ada"}' | ${field('token')})
  ${channel}

  # say something and see what has been said
  ${curl} ${api}/v1/channels/$CHANNEL/messages ${me} ${json} -d '{"clientId":"'$(date +%s%N)'","text":"Hello from curl"}'
  ${curl} ${api}/v1/channels/$CHANNEL/messages ${me}

  # what ada has not read and how she reads it
  ${curl} ${reads}/v1/unread ${me}
  ${curl} -X PUT ${reads}/v1/channels/$CHANNEL/read ${me} ${json} -d '{}'

  # live events while you say more in a third terminal
  (cd ${quoted(folders.project)} && node -e '${listener}' "$TOKEN")

Ctrl-C stops it. What was said is kept in ${folders.project}/.tidemark.
`;
}

const quoted = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);
