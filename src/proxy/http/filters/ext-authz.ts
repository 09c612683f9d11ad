/** External authorization at its place in the chain (Envoy: ext_authz). */
import type { ExtAuthzFilter, HeaderMutation, RouteExtAuthz } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import type { FilterCounters } from '../../telemetry/counters.ts';
import type { SideCall } from '../../upstream/side-call.ts';
import type { ActiveExchange } from '../active-exchange.ts';
import { localReply } from '../local-reply.ts';
import { metadataAt } from '../match.ts';
import { visibleHeaders } from '../request-headers.ts';
import { resolveRoute } from '../resolve-route.ts';
import { askGrpc } from './authz-grpc.ts';
import { askHttp } from './authz-http.ts';
import { changeRequest, type HeaderChange, sound, type Verdict } from './authz-verdict.ts';
import { HeldRequest } from './held-request.ts';
import type { Outcome, Place } from './place.ts';

const metadataName = 'envoy.filters.http.ext_authz';
/** What a service over HTTP is told without being asked to be (Envoy: AuthorizationRequest.allowed_headers). */
const usual = new Set(['authorization']);

export function runExtAuthz(
  place: Place,
  statPrefix: string,
  filter: ExtAuthzFilter,
  said: RouteExtAuthz | null,
): Outcome {
  const { exchange } = place;
  if (exchange.route === null || said?.disabled) return 'goOn';
  const counters = exchange.plane.statistics.filter(statPrefix, 'extAuthz');
  if (!isEnabled(exchange, filter)) {
    counters.disabled++;
    if (!filter.deniesDisabled) return 'goOn';
    refuse(exchange, filter.errorStatus, '', 'ext_authz_error');
    return 'ended';
  }
  new Check(place, filter, said, counters);
  return 'waits';
}

function isEnabled(exchange: ActiveExchange, { enabledMillionths, enabledBy }: ExtAuthzFilter): boolean {
  if (enabledMillionths < 1_000_000 && Math.random() * 1_000_000 >= enabledMillionths) return false;
  if (enabledBy === null) return true;
  const { filter, path, match, invert } = enabledBy;
  return match.test(metadataAt(exchange.dynamicMetadata, filter, path)) !== invert;
}

function refuse(exchange: ActiveExchange, status: number, body: string | Buffer, details: string): void {
  exchange.addFlag('UAEX');
  localReply(exchange, status, body, details);
}

/** Waits for the body, as much of it as the service is to see, and for the service. */
class Check extends HeldRequest {
  private readonly filter: ExtAuthzFilter;
  private readonly said: RouteExtAuthz | null;
  private readonly counters: FilterCounters;
  private readonly bodyLimit: number;
  private readonly partialAllowed: boolean;
  private call: SideCall | null = null;
  private asked = false;
  private over = false;

  constructor(place: Place, filter: ExtAuthzFilter, said: RouteExtAuthz | null, counters: FilterCounters) {
    super(place);
    this.filter = filter;
    this.said = said;
    this.counters = counters;
    const body = said?.body === undefined ? filter.body : said.body;
    const { exchange } = this;
    const sends = body !== null && exchange.requestFraming !== 'none' && !exchange.request.upgrade;
    this.bodyLimit = sends ? body.maxBytes : 0;
    this.partialAllowed = body?.partial ?? false;
    if (!sends) void this.ask(null, false);
  }

  override onRequestBody(bytes: Buffer, start: number, end: number): void {
    super.onRequestBody(bytes, start, end);
    const { held, bodyLimit } = this;
    if (this.asked || held.bytes <= bodyLimit) {
      if (!this.asked && this.partialAllowed && held.bytes === bodyLimit) void this.askWithBody();
      return;
    }
    if (this.partialAllowed) {
      void this.askWithBody();
      return;
    }
    this.over = true;
    this.letGo();
    localReply(this.exchange, 413, 'Payload Too Large', 'request_payload_too_large');
  }

  override onRequestEnd(): void {
    if (!this.asked && !this.over) void this.askWithBody();
  }

  private askWithBody(): Promise<void> {
    const body = Buffer.concat(this.held.pieces).subarray(0, this.bodyLimit);
    return this.ask(body, !this.exchange.requestComplete);
  }

  private async ask(body: Buffer | null, partial: boolean): Promise<void> {
    this.asked = true;
    const { filter, exchange } = this;
    const { service } = filter;
    const question = {
      exchange,
      headers: this.toldHeaders(),
      body,
      size: body === null ? 0 : exchange.requestBodyBytes,
      partial,
      context: this.said?.context ?? {},
    };
    const started = (call: SideCall) => {
      this.call = call;
      if (this.over) call.cancel();
    };
    const verdict =
      service.kind === 'grpc'
        ? await askGrpc(service.target, filter, question, started)
        : await askHttp(service, question, started);
    if (this.over) return;
    output.turn(() => this.settle(verdict));
  }

  private toldHeaders(): Array<readonly [string, string]> {
    const { headers, withoutHeaders, service } = this.filter;
    return visibleHeaders(this.exchange).filter(([name]) => {
      if (withoutHeaders.some(({ test }) => test(name))) return false;
      if (headers === null) return service.kind === 'grpc' || usual.has(name);
      return headers.some(({ test }) => test(name)) || (service.kind === 'http' && usual.has(name));
    });
  }

  protected stop(): void {
    this.over = true;
    this.call?.cancel();
  }

  private settle(given: Verdict): void {
    this.over = true;
    this.letGo();
    const { exchange, filter, counters } = this;
    const verdict = this.checked(given);
    if (verdict === null) {
      counters.invalid++;
      localReply(exchange, 500, '', 'ext_authz_invalid');
      return;
    }
    if (verdict.kind === 'error') {
      counters.error++;
      if (!filter.failureAllows) {
        refuse(exchange, filter.errorStatus, '', 'ext_authz_error');
        return;
      }
      counters.failure_mode_allowed++;
      if (filter.tellsFailure) exchange.addRequestHeader('x-envoy-auth-failure-mode-allowed', 'true');
      this.goOn();
      return;
    }
    if (verdict.metadata !== null && Object.keys(verdict.metadata).length > 0)
      exchange.addMetadata(metadataName, verdict.metadata);
    if (verdict.kind === 'denied') {
      counters.denied++;
      if (verdict.response.length > 0) exchange.changeResponse(refusalHeaders(verdict.response));
      refuse(exchange, verdict.status, verdict.body, 'ext_authz_denied');
      return;
    }
    counters.ok++;
    changeRequest(exchange, verdict.request);
    for (const name of verdict.remove) if (name !== 'host' && !name.startsWith(':')) exchange.removeRequestHeader(name);
    if (verdict.setQuery.length + verdict.removeQuery.length > 0) changeQuery(exchange, verdict);
    if (verdict.response.length > 0) exchange.changeResponse(responseChange(verdict.response));
    if (filter.clearsRoute && changes(verdict)) resolveRoute(exchange);
    this.goOn();
  }

  /** Without what cannot stand in a head; null when that refuses the request. */
  private checked(verdict: Verdict): Verdict | null {
    if (verdict.kind === 'error') return verdict;
    const lists = verdict.kind === 'allowed' ? [verdict.request, verdict.response] : [verdict.response];
    if (lists.every(sound)) return verdict;
    if (this.filter.validates) return null;
    const kept = (list: readonly HeaderChange[]) => list.filter((one) => sound([one]));
    return verdict.kind === 'allowed'
      ? { ...verdict, request: kept(verdict.request), response: kept(verdict.response) }
      : { ...verdict, response: kept(verdict.response) };
  }
}

const changes = ({ request, remove, setQuery, removeQuery }: Extract<Verdict, { kind: 'allowed' }>): boolean =>
  request.length + remove.length + setQuery.length + removeQuery.length > 0;

function responseChange(changes: readonly HeaderChange[]): HeaderMutation {
  return {
    add: changes.map(({ name, value, action }) => ({
      name,
      value,
      keepEmpty: true,
      action: action === 'appendIfExists' || action === 'joinIfExists' ? 'append' : action,
    })),
    remove: [],
  };
}

/** The service's headers instead of the proxy's own, each as often as it was given. */
function refusalHeaders(changes: readonly HeaderChange[]): HeaderMutation {
  return {
    add: changes.map(({ name, value }) => ({ name, value, keepEmpty: true, action: 'append' })),
    remove: [...new Set(changes.map(({ name }) => name))],
  };
}

function changeQuery(exchange: ActiveExchange, { setQuery, removeQuery }: Extract<Verdict, { kind: 'allowed' }>): void {
  const [path, rest = ''] = exchange.path.split('?', 2);
  const parameters = new URLSearchParams(rest);
  for (const [name, value] of setQuery) parameters.set(name, value);
  for (const name of removeQuery) parameters.delete(name);
  const query = parameters.toString();
  exchange.path = query === '' ? path : `${path}?${query}`;
}
