/** JWT authentication at its place in the chain; what it decides is in jwt-judge.ts. */
import type { JwtFilter, JwtProvider, JwtRequirement, RouteJwt } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { FilterCounters } from '../../telemetry/counters.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { localReply } from '../local-reply.ts';
import { HeldRequest } from './held-request.ts';
import {
  detailsOf,
  type FoundToken,
  isPreflight,
  judge,
  refusalOf,
  requirementOf,
  type TokenFacts,
  wrongName,
} from './jwt-judge.ts';
import type { KeySet } from './jwt-keys.ts';
import { findTokens, removeToken } from './jwt-places.ts';
import { type Claims, type JwtStatus, jwtStatus, type ParsedToken, statusNumber, withLists } from './jwt-token.ts';
import type { Outcome, Place } from './place.ts';

const metadataName = 'envoy.filters.http.jwt_authn';
const maxUriLength = 256;

/** What is known about signatures, by token and the keys that were asked; forgotten with either. */
const signatures = new WeakMap<ParsedToken, WeakMap<KeySet, JwtStatus>>();

export function runJwt(place: Place, statPrefix: string, filter: JwtFilter, said: RouteJwt | null): Outcome {
  const { exchange } = place;
  const counters = exchange.plane.statistics.filter(statPrefix, 'jwt');
  if (filter.bypassCorsPreflight && isPreflight(exchange)) {
    counters.cors_preflight_bypassed++;
    counters.allowed++;
    return 'goOn';
  }
  const requirement = requirementOf(exchange, filter, said);
  if (requirement === 'unknown') {
    counters.denied++;
    const reason = wrongName(filter, said!);
    localReply(exchange, 403, filter.stripsReason ? '' : `Failed JWT authentication: ${reason}`, detailsOf(reason));
    return 'ended';
  }
  if (requirement === null) {
    counters.allowed++;
    return 'goOn';
  }
  const check = new Check(exchange, requirement, counters);
  const status = check.judge();
  if (status === 'waits') {
    new HeldForKeys(place, check, filter, counters);
    return 'waits';
  }
  return settle(exchange, check, filter, counters, status) ? 'goOn' : 'ended';
}

/** Whether the request goes on. */
function settle(
  exchange: ActiveExchange,
  check: Check,
  filter: JwtFilter,
  counters: FilterCounters,
  status: JwtStatus,
): boolean {
  check.note();
  if (status === jwtStatus.ok) {
    counters.allowed++;
    return true;
  }
  counters.denied++;
  const code = refusalOf(status);
  if (filter.stripsReason) localReply(exchange, code, '', detailsOf(status));
  else {
    const uri = `${exchange.scheme}://${exchange.authority}${exchange.path.slice(0, maxUriLength)}`;
    const error = status === jwtStatus.missing ? '' : ', error="invalid_token"';
    localReply(exchange, code, status, detailsOf(status), ['www-authenticate', `Bearer realm="${uri}"${error}`]);
  }
  return false;
}

/** One request's tokens under judgement. */
class Check implements TokenFacts {
  readonly now: number = Math.floor(output.wallMs / 1000);
  private readonly exchange: ActiveExchange;
  private readonly requirement: JwtRequirement;
  private readonly counters: FilterCounters;
  private readonly found = new Map<string, readonly FoundToken[]>();
  private takes: Array<readonly [JwtProvider, FoundToken]> = [];
  private fails: Array<readonly [JwtProvider, JwtStatus]> = [];
  /** Signatures that the last judgement asked for in vain. */
  private missing: Array<readonly [JwtProvider, ParsedToken]> = [];
  /** Keys that were waited for: they hold for this request, however soon they are outdated. */
  private readonly keys = new Map<JwtProvider, KeySet>();
  /** Providers whose keys could not be had. */
  private readonly keyless = new Set<JwtProvider>();

  constructor(exchange: ActiveExchange, requirement: JwtRequirement, counters: FilterCounters) {
    this.exchange = exchange;
    this.requirement = requirement;
    this.counters = counters;
    for (const provider of providersOf(requirement)) sanitize(exchange, provider);
  }

  judge(): JwtStatus | 'waits' {
    this.takes = [];
    this.fails = [];
    this.missing = [];
    return judge(this.requirement, this);
  }

  find(providers: readonly JwtProvider[]): readonly FoundToken[] {
    const key = providers.map(({ name }) => name).join('\n');
    let found = this.found.get(key);
    if (found === undefined) {
      found = findTokens(this.exchange, providers);
      this.found.set(key, found);
    }
    return found;
  }

  signature(provider: JwtProvider, token: ParsedToken): JwtStatus | null {
    if (this.keyless.has(provider)) return jwtStatus.fetchFailed;
    const { keySets } = this.exchange.plane;
    const keys = this.keys.get(provider) ?? keySets.current(provider.keys);
    const known = keys === null ? undefined : signatures.get(token)?.get(keys);
    if (keys !== null && keySets.outdated(provider.keys)) void this.fetch(provider);
    if (known !== undefined) {
      this.counters.jwt_cache_hit++;
      return known;
    }
    this.counters.jwt_cache_miss++;
    this.missing.push([provider, token]);
    return null;
  }

  accepted(provider: JwtProvider, found: FoundToken): void {
    this.takes.push([provider, found]);
  }

  failed(provider: JwtProvider, status: JwtStatus): void {
    this.fails.push([provider, status]);
  }

  private fetch(provider: JwtProvider): Promise<KeySet | null> {
    const { plane } = this.exchange;
    return plane.keySets.fetch(plane, provider.keys, {
      fetched: (ok) => {
        this.counters[ok ? 'jwks_fetch_success' : 'jwks_fetch_failed']++;
      },
    });
  }

  /** Finds out what the last judgement lacked. */
  async learn(): Promise<void> {
    for (const [provider, token] of this.missing) {
      const keys =
        this.keys.get(provider) ?? this.exchange.plane.keySets.current(provider.keys) ?? (await this.fetch(provider));
      if (keys === null) {
        this.keyless.add(provider);
        continue;
      }
      this.keys.set(provider, keys);
      let known = signatures.get(token);
      if (known === undefined) {
        known = new WeakMap();
        signatures.set(token, known);
      }
      if (!known.has(keys)) known.set(keys, await keys.verify(token));
    }
  }

  /** Leaves in the request what the accepted tokens give. */
  note(): void {
    const { exchange } = this;
    for (const [{ failedStatusInMetadata: key }, status] of this.fails)
      if (key !== '') exchange.addMetadata(metadataName, { [key]: failure(status) });
    for (const [provider, found] of this.takes) {
      const { payload, payloadText, header } = found.token;
      if (provider.payloadHeader !== '')
        exchange.addRequestHeader(provider.payloadHeader, provider.padsPayload ? padded(payloadText) : payloadText);
      for (const { header: name, claim } of provider.claimHeaders) {
        const text = claimText(payload, claim);
        if (text !== '') exchange.addRequestHeader(name, text);
      }
      if (!provider.forward) removeToken(exchange, found);
      if (provider.headerInMetadata !== '') exchange.addMetadata(metadataName, { [provider.headerInMetadata]: header });
      if (provider.payloadInMetadata !== '')
        exchange.addMetadata(metadataName, { [provider.payloadInMetadata]: withLists(payload, provider.listClaims) });
    }
  }
}

const failure = (status: JwtStatus) => ({ code: statusNumber(status), message: status });

function providersOf(requirement: JwtRequirement): readonly JwtProvider[] {
  if (requirement.kind === 'provider') return [requirement.provider];
  return 'providers' in requirement ? requirement.providers : requirement.requirements.flatMap(providersOf);
}

/** What a token would leave must not come from the caller. */
function sanitize(exchange: ActiveExchange, { payloadHeader, claimHeaders }: JwtProvider): void {
  if (payloadHeader !== '') exchange.removeRequestHeader(payloadHeader);
  for (const { header } of claimHeaders) exchange.removeRequestHeader(header);
}

const padded = (text: string): string => text + '='.repeat((4 - (text.length % 4)) % 4);

function claimText(payload: Claims, path: readonly string[]): string {
  let value: unknown = payload;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return '';
    value = (value as Record<string, unknown>)[key];
  }
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? String(value) : value.toFixed(6);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return Buffer.from(value).toString('latin1');
  if (typeof value === 'object' && value !== null) return Buffer.from(JSON.stringify(value)).toString('base64');
  return '';
}

/** Waits for keys, or for signatures to be verified. */
class HeldForKeys extends HeldRequest {
  private over = false;

  constructor(place: Place, check: Check, filter: JwtFilter, counters: FilterCounters) {
    super(place);
    void this.wait(check, filter, counters);
  }

  private async wait(check: Check, filter: JwtFilter, counters: FilterCounters): Promise<void> {
    let status = check.judge();
    while (status === 'waits' && !this.over) {
      await check.learn();
      status = check.judge();
    }
    if (this.over) return;
    output.turn(() => {
      const { exchange } = this;
      this.over = true;
      this.letGo();
      if (settle(exchange, check, filter, counters, status as JwtStatus)) this.goOn();
    });
  }

  protected stop(): void {
    this.over = true;
  }
}
