import type { GetToken } from './access-token.js';

export interface ChatOptions {
  /** Of an ingress in front of all services. */
  url?: string;
  /** Of each service, where there is no ingress. */
  urls?: { api: string; realtime: string; readStatus: string };
  getToken: GetToken;
  /** `['websocket']`. Polling needs an ingress that is sticky. */
  transports?: ('websocket' | 'polling')[];
  /** Counts alone of channels that are not opened by `channel.open()`: for who is in thousands, or has little power. */
  passive?: boolean;
  /** For `connect()`, 30 s; from then on a lost connection is taken up again for as long as it takes. */
  timeoutMs?: number;
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

/** Where a service is. @throws TypeError where the options do not say. */
export function baseUrlOf({ url, urls }: ChatOptions, service: keyof Required<ChatOptions>['urls']): string {
  const base = urls?.[service] ?? url;
  if (base === undefined) throw new TypeError('connect() needs url, or urls');
  return base.replace(/\/+$/, '');
}
