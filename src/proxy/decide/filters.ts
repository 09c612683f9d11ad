/** What each HTTP filter says of a request, by the pure functions that the filter itself asks. */
import type { Cors, Fault, HttpFilter, Rbac, Route, RouteFilter } from '../config/table.ts';
import { type AuthorizationTrace, authorizeBy, authorizeShadow } from '../http/authorize.ts';
import type { RequestFacts } from '../http/facts.ts';
import { allowsOrigin, answersPreflight } from '../http/filters/cors.ts';
import { faultApplies } from '../http/filters/fault.ts';
import { detailsOf, isPreflight, judge, refusalOf, requirementOf, wrongName } from '../http/filters/jwt-judge.ts';
import { findTokens } from '../http/filters/jwt-places.ts';
import { jwtStatus, withLists } from '../http/filters/jwt-token.ts';
import { headersMatch } from '../http/match.ts';
import type { QuestionFacts } from './facts.ts';
import type { DecisionTrace } from './trace.ts';

/** How a filter answers instead of letting the request go on. */
export interface Refusal {
  readonly status: number;
  readonly flags: string;
  readonly details: string;
}

const jwtMetadata = 'envoy.filters.http.jwt_authn';

const refusal = (status: number, flags: string, details: string): Refusal => ({ status, flags, details });

/** Null when it lets the request go on. `said` is what the route has to say about the filter. */
export function decideFilter(
  { name, config }: HttpFilter,
  said: RouteFilter | null,
  facts: QuestionFacts,
  route: Route | null,
  trace: DecisionTrace | null,
): Refusal | null {
  const tell = (outcome: string, why = ''): null => {
    trace?.note('filter', name, outcome, why);
    return null;
  };
  switch (config.kind) {
    case 'rbac':
      return decideRbac(name, said?.kind === 'rbac' ? said.rules : config.rules, facts, trace);
    case 'jwt': {
      if (config.bypassCorsPreflight && isPreflight(facts)) return tell('lets pass', 'a preflight');
      const own = said?.kind === 'jwt' ? said : null;
      const requirement = requirementOf(facts, config, own);
      if (requirement === 'unknown') return refusal(403, '', detailsOf(wrongName(config, own!)));
      if (requirement === null) return tell('lets pass', 'it asks for no token here');
      let looked = false;
      const status = judge(requirement, {
        now: Math.floor(Date.now() / 1000),
        find: (providers) => findTokens(facts, providers),
        signature() {
          looked = true;
          return jwtStatus.ok;
        },
        accepted({ payloadInMetadata: key, listClaims }, { token }) {
          if (key === '') return;
          const claims = { ...facts.dynamicMetadata?.[jwtMetadata], [key]: withLists(token.payload, listClaims) };
          facts.dynamicMetadata = { ...facts.dynamicMetadata, [jwtMetadata]: claims };
        },
        failed() {},
      });
      if (status !== jwtStatus.ok && status !== 'waits') return refusal(refusalOf(status), '', detailsOf(status));
      return tell('lets pass', looked ? 'unless the signature of the token is wrong' : '');
    }
    case 'fault': {
      const fault = said?.kind === 'fault' ? said.fault : config.fault;
      if (fault === null || !faultApplies(facts, route, fault)) return tell('lets pass', 'does not apply');
      return decideFault(fault, tell);
    }
    case 'cors':
      return said?.kind === 'cors' ? decideCors(said.levels, facts, tell) : tell('lets pass', 'no policy here');
    case 'extAuthz':
      return tell('asks', 'an authorization service, which may refuse');
    case 'rateLimit':
      return tell('asks', `the rate limit service about domain ${config.domain}, which may refuse`);
    case 'localRateLimit':
      return tell('counts', 'answers 429 when its bucket is empty');
    case 'buffer': {
      const { maxBytes } = said?.kind === 'buffer' ? said : config;
      return tell('waits for the body', maxBytes === null ? 'off here' : `answers 413 beyond ${maxBytes} bytes`);
    }
    case 'healthCheck':
      return headersMatch(config.headers, facts)
        ? tell('answers health checks', config.passThrough ? 'from what the upstream said' : 'by the state of clusters')
        : tell('lets pass', 'no health check');
    case 'headerMutation':
      return tell('changes headers');
  }
}

/** Takes down what the policies of RBAC filters said. */
export const policiesTo = (trace: DecisionTrace): AuthorizationTrace => ({
  policy: (rbac, { name }, matched, shadow) =>
    trace.note(
      'policy',
      name,
      matched ? 'matches' : 'does not match',
      shadow ? `${rbac.shadow!.action}, in the shadow` : rbac.action,
    ),
});

function decideRbac(
  name: string,
  rules: readonly Rbac[],
  facts: RequestFacts,
  trace: DecisionTrace | null,
): Refusal | null {
  const policies = trace && policiesTo(trace);
  for (const rbac of rules) {
    if (rbac.shadow !== null) {
      const { allowed, policy } = authorizeShadow(rbac, facts, policies);
      trace?.note('filter', name, allowed ? 'would allow' : 'would refuse', policy || 'no policy matches');
    }
    if (rbac.action === 'NONE') continue;
    const { allowed, policy, detail } = authorizeBy(rbac, facts, policies);
    if (!allowed) return refusal(403, '', detail);
    trace?.note('filter', name, 'allows', policy || `no policy of ${rbac.action} matches`);
  }
  return null;
}

/** Only what befalls every request is decided. */
function decideFault({ delay, abort }: Fault, tell: (outcome: string, why: string) => null): Refusal | null {
  const percent = (millionths: number) => `${millionths / 10_000} % of requests`;
  if (delay !== null) tell('delays', `${percent(delay.millionths)} by ${delay.ms ?? 'as many as a header says'} ms`);
  if (abort === null) return null;
  const { status, grpcStatus, millionths } = abort;
  if (millionths >= 1_000_000 && status > 0)
    return refusal(status, delay === null || delay.millionths === 0 ? 'FI' : 'DI,FI', 'fault_filter_abort');
  return tell('aborts', `${percent(millionths)} with ${status || `grpc-status ${grpcStatus ?? 'as a header says'}`}`);
}

function decideCors(
  levels: readonly Cors[],
  facts: RequestFacts,
  tell: (outcome: string, why: string) => null,
): Refusal | null {
  const origin = facts.header('origin');
  if (!origin) return tell('lets pass', 'no Origin');
  const share = levels[0].enabledMillionths;
  if (share < 1_000_000) return tell('lets pass', `enforced for ${share / 10_000} % of requests`);
  const allowed = allowsOrigin(levels, origin);
  if (isPreflight(facts) && answersPreflight(levels, allowed)) return refusal(200, '', 'cors_response');
  return tell('lets pass', allowed ? `${origin} may read the response` : `${origin} may not read the response`);
}
