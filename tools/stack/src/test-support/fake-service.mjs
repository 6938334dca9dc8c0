// Stands in for a service: ready at once, drains at once, says what it was told. Plain Node, so that it starts fast.
import { createServer } from 'node:http';

if (process.env.REFUSE === '1') {
  process.stderr.write('REFUSE must not be 1\n');
  process.exit(1);
}

const server = createServer((request, response) => {
  if (request.url === '/health/ready') response.end('{"status":"up"}');
  else if (request.url === '/environment') response.end(JSON.stringify(process.env));
  else response.writeHead(404).end();
});
server.listen(Number(process.env.PORT), () => process.stdout.write(`listening ${process.env.PORT}\n`));
process.on('SIGTERM', () => process.exit(0));
