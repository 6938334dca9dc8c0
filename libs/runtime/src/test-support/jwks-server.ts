import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';

/** An identity provider: publishes its keys over HTTP and signs. */
export class JwksServer {
  private readonly keys: JWK[] = [];
  private readonly signers = new Map<string, Parameters<SignJWT['sign']>[0]>();
  private server: Server;
  /** 500 for an identity provider that is ill. */
  status = 200;
  requests = 0;

  async start(): Promise<void> {
    this.server = createServer((_request, response) => {
      this.requests++;
      response.writeHead(this.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ keys: this.keys }));
    });
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/jwks.json`;
  }

  async addKey(kid: string, alg: string): Promise<JWK> {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
    this.keys.push(jwk);
    this.signers.set(kid, privateKey);
    return jwk;
  }

  sign(kid: string, alg: string, claims: Record<string, unknown>): Promise<string> {
    return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(this.signers.get(kid)!);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
