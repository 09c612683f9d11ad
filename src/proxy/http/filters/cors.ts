/** Cross-origin requests (Envoy's CORS filter; Fetch Standard, CORS protocol). */
import type { Cors, HeaderMutation } from '../../config/table.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { localReply } from '../local-reply.ts';
import type { Outcome } from './place.ts';

const drawn = (millionths: number): boolean => millionths >= 1_000_000 || Math.random() * 1_000_000 < millionths;

/** `levels`: the most specific first; it says whether the filter works, and leaves to the others what it does not say itself. */
export function runCors(exchange: ActiveExchange, statPrefix: string, levels: readonly Cors[]): Outcome {
  const origin = exchange.request.get('origin');
  if (origin === null || origin === '') return 'goOn';
  const [first] = levels;
  const enabled = drawn(first.enabledMillionths);
  if (!enabled && !drawn(first.shadowMillionths)) return 'goOn';
  const allowed = allowsOrigin(levels, origin);
  exchange.plane.statistics.filter(statPrefix, 'cors')[allowed ? 'origin_valid' : 'origin_invalid']++;
  if (!enabled) return 'goOn';
  const policy = merged(levels);
  if (allowed) exchange.changeResponse(responseChange(policy, origin));
  const method = exchange.request.get('access-control-request-method');
  if (exchange.method !== 'OPTIONS' || method === null || method === '') return 'goOn';
  if (!answersPreflight(levels, allowed)) return 'goOn';
  localReply(exchange, 200, '', 'cors_response', preflightHeaders(exchange, policy, method));
  return 'ended';
}

/** Of the most specific level that names any. */
export function allowsOrigin(levels: readonly Cors[], origin: string): boolean {
  const origins = levels.find((level) => level.origins.length > 0)?.origins ?? [];
  return origins.some(({ test }) => test('*') || test(origin));
}

/** Whether the filter answers a preflight itself, rather than the upstream. */
export const answersPreflight = (levels: readonly Cors[], allowed: boolean): boolean =>
  allowed || !(levels.find((level) => level.forwardsOthers !== null)?.forwardsOthers ?? true);

function merged(levels: readonly Cors[]) {
  const text = (name: 'methods' | 'headers' | 'expose' | 'maxAge') =>
    levels.find((level) => level[name] !== '')?.[name] ?? '';
  const flag = (name: 'allowCredentials' | 'allowPrivateNetwork') =>
    levels.find((level) => level[name] !== null)?.[name] ?? null;
  return {
    methods: text('methods'),
    headers: text('headers'),
    expose: text('expose'),
    maxAge: text('maxAge'),
    allowCredentials: flag('allowCredentials') ?? false,
    allowPrivateNetwork: flag('allowPrivateNetwork') ?? false,
  };
}

type Policy = ReturnType<typeof merged>;

/** `*` allows what is asked for. */
function preflightHeaders(exchange: ActiveExchange, policy: Policy, method: string): string[] {
  const headers: string[] = [];
  if (policy.methods !== '')
    headers.push('access-control-allow-methods', policy.methods === '*' ? method : policy.methods);
  const asked =
    policy.headers === '*' ? (exchange.request.get('access-control-request-headers') ?? '') : policy.headers;
  if (asked !== '') headers.push('access-control-allow-headers', asked);
  if (policy.allowCredentials) headers.push('access-control-allow-credentials', 'true');
  if (policy.maxAge !== '') headers.push('access-control-max-age', policy.maxAge);
  if (policy.allowPrivateNetwork && exchange.request.get('access-control-request-private-network') === 'true')
    headers.push('access-control-allow-private-network', 'true');
  return headers;
}

/** What a browser needs to show the response to the page that asked. */
function responseChange(policy: Policy, origin: string): HeaderMutation {
  const set = (name: string, value: string) => ({ name, value, keepEmpty: false, action: 'overwrite' as const });
  const add = [set('access-control-allow-origin', origin)];
  if (policy.allowCredentials) add.push(set('access-control-allow-credentials', 'true'));
  if (policy.expose !== '') add.push(set('access-control-expose-headers', policy.expose));
  return { add, remove: [] };
}
