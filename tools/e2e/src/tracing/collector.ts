import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Linked {
  traceId: string;
  spanId: string;
}

/** A span as OTLP has it in JSON, with the service that it is of. */
export interface ReceivedSpan extends Linked {
  service: string;
  parentSpanId?: string;
  name: string;
  links: Linked[];
}

interface Export {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { spans: (Omit<ReceivedSpan, 'service' | 'links'> & { links?: Linked[] })[] }[];
  }[];
}

/** Takes what services export over OTLP/HTTP, as JSON. */
export class Collector {
  readonly spans: ReceivedSpan[] = [];
  /** As it came. */
  text = '';

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Collector> {
    const server = createServer();
    const collector = new Collector(server);
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => (body += chunk));
      request.on('end', () => {
        collector.take(body);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  private take(body: string): void {
    this.text += body;
    for (const { resource, scopeSpans } of (JSON.parse(body) as Export).resourceSpans) {
      const name = resource.attributes.find(({ key }) => key === 'service.name');
      const service = name?.value.stringValue ?? 'unknown';
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        this.spans.push({ ...span, service, links: span.links ?? [] });
      }
    }
  }
}
