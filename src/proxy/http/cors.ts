import type { HeaderEdit } from '../codec/header-edit.ts';
import type { Cors } from '../config/table.ts';
import type { ActiveExchange } from './active-exchange.ts';

function allowedOrigin(exchange: ActiveExchange, cors: Cors): string | null {
  const origin = exchange.request.get('origin');
  return origin !== null && cors.origins.some(({ test }) => test(origin)) ? origin : null;
}

/** Headers of the answer to a preflight, name, value, …; null when the request is none or its origin is not allowed. */
export function preflight(exchange: ActiveExchange, cors: Cors): string[] | null {
  if (exchange.method !== 'OPTIONS' || exchange.request.get('access-control-request-method') === null) return null;
  if (allowedOrigin(exchange, cors) === null) return null;
  const headers: string[] = [];
  if (cors.methods !== '') headers.push('access-control-allow-methods', cors.methods);
  if (cors.headers !== '') headers.push('access-control-allow-headers', cors.headers);
  if (cors.maxAge !== '') headers.push('access-control-max-age', cors.maxAge);
  if (cors.allowPrivateNetwork && exchange.request.get('access-control-request-private-network') === 'true')
    headers.push('access-control-allow-private-network', 'true');
  return headers;
}

/** What a browser needs to show the response to the page that asked (Fetch Standard, CORS protocol). */
export function addCorsHeaders(exchange: ActiveExchange, cors: Cors, edit: HeaderEdit): void {
  const origin = allowedOrigin(exchange, cors);
  if (origin === null) return;
  edit.set('access-control-allow-origin', origin);
  if (cors.allowCredentials) edit.set('access-control-allow-credentials', 'true');
  if (cors.expose !== '') edit.set('access-control-expose-headers', cors.expose);
}
