import type { IncomingMessage } from 'node:http';

/** Enough for every count of a person in a thousand channels. */
const bodyBytesMax = 128 * 1024;

/** A request that is refused, with the status that says why. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Who may ask: a page of this very address. A name that somebody points at 127.0.0.1 is another Host, and a page of
 * another site has another Origin, which every browser sends with a POST.
 */
export function refuseStrangers(request: IncomingMessage, port: number): void {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const { host = '', origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (!hosts.includes(host)) throw new Refusal(421, 'Only 127.0.0.1 and localhost are served.');
  if (origin !== undefined && origin !== `http://${host}`)
    throw new Refusal(403, 'Only pages of this address may ask.');
  // A link from elsewhere may lead to the page, and to nothing else.
  const asks = request.url?.startsWith('/stack');
  if (asks && site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new Refusal(403, 'Only pages of this address may ask.');
  if (request.method === 'POST' && origin === undefined) throw new Refusal(403, 'Say where this comes from.');
}

/** The JSON object of a request. */
export async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new Refusal(415, 'Send application/json.');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Refusal(413, `At most ${bodyBytesMax} bytes.`);
    chunks.push(chunk);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof body === 'object' && body !== null && !Array.isArray(body))
      return body as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new Refusal(400, 'The body is not a JSON object.');
}
