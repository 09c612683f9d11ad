import { type HeaderBlock, returnBlock } from '../codec/header-block.ts';
import { edit } from '../codec/header-edit.ts';
import { knownId } from '../codec/header-names.ts';
import { lastHead } from '../codec/http1.ts';
import type { Forward, InternalRedirect, RetryPolicy, WeightedCluster } from '../config/table.ts';
import type { Address } from '../net/connection.ts';
import { output } from '../net/output.ts';
import { RetriedCounters } from '../telemetry/counters.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import { type Host, undeliveredProtocol } from '../upstream/host.ts';
import { destinationOf } from '../upstream/original-destination.ts';
import { outcomeOf, outcomeOfGrpc } from '../upstream/outcome.ts';
import type { Caller } from '../upstream/proxy-header.ts';
import type { ResetReason, UpstreamCall, UpstreamStream } from '../upstream/upstream-call.ts';
import type { ActiveExchange, BodyTaker } from './active-exchange.ts';
import { allowTime, retryPolicyOf, streamDurationMs } from './allowance.ts';
import { fromInside } from './client-address.ts';
import { failureReply } from './failure-reply.ts';
import { finish } from './finish.ts';
import { requestHash } from './hash-policy.ts';
import { HeldBody } from './held-body.ts';
import { followRedirect } from './internal-redirect.ts';
import { localReply } from './local-reply.ts';
import { startMirrors } from './mirror.ts';
import { serveAgain } from './pipeline.ts';
import { editRequest, outgoing } from './request-headers.ts';
import { editResponse } from './response-headers.ts';
import {
  backoffMs,
  mayRepeat,
  resetBackoffMs,
  retriesReset,
  retriesResponse,
  retriesTimeout,
  undeliveredBackoffMs,
} from './retry.ts';
import { SlowDials } from './slow-dials.ts';
import { chooseCluster } from './weighted.ts';

/** What may be kept of a body to send it again (Envoy: per-connection buffer limit, 1 MiB by default). */
const maxRetainedBytes = 1_048_576;
/** Without a retry policy, bodies are kept only for a connection that turns out to be stale. */
const maxStaleRetainedBytes = 65_536;
const maxStaleRepeats = 3;
/** Of Node's timers: 24 days. */
const maxTimerMs = 2 ** 31 - 1;
/** How often a request that no host has taken may go on to another. */
const maxUndelivered = 8;
/** gRPC's status code. */
const deadlineExceeded = 4;
const upgradeId = knownId('upgrade');
const undeliveredId = knownId('x-lateen-undelivered');

const undeliveredHeaders = ['x-lateen-undelivered', '1'];

/** Every host that a connection stood to, once: of one attempt alone it is the upstream's own address. */
function noteAttempted(exchange: ActiveExchange, address: Address): void {
  const before = exchange.upstream;
  if (before === null || before.address === address) return;
  exchange.attempted ??= [before.address];
  if (!exchange.attempted.includes(address)) exchange.attempted.push(address);
}

const timeoutDetails = {
  total: 'response_timeout',
  perTry: 'upstream_per_try_timeout',
  perTryIdle: 'upstream_per_try_idle_timeout',
};

type Phase = 'picking' | 'connecting' | 'sent' | 'backingOff' | 'responding' | 'tunnel' | 'over';

/**
 * One request on its way to an upstream: picks a host, sends, waits, tries again where the route allows, and relays the
 * response.
 *
 *     picking → connecting → sent → responding → over
 *        ↑          └───┬──────┘ failed or to be retried
 *        └─ backingOff ←┘                └→ tunnel → over
 */
export class Forwarding implements UpstreamStream, BodyTaker {
  private readonly exchange: ActiveExchange;
  private readonly forward: Forward;
  private readonly retry: RetryPolicy | null;
  private weighted: WeightedCluster | null = null;
  private pool: ClusterPool | null = null;
  private breaker: Breaker | null = null;
  private host: Host | null = null;
  private connection: UpstreamCall | null = null;
  private reused = false;
  private phase: Phase = 'picking';
  private held: HeldBody | null = null;
  /** All of the body that has come is in `held`. */
  private retains = true;
  private pausedCaller = false;
  private pausedUpstream = false;
  private tried: Host[] | null = null;
  private hash: bigint | null = null;
  private retriesLeft: number;
  private staleRepeats = 0;
  private undelivered = 0;
  /** Some attempt has sent something. */
  private everSent = false;
  private slow: SlowDials | null = null;
  private retrying = false;
  upgrading = false;

  get caller(): Caller {
    return this.exchange.connection;
  }

  private routeTimer: NodeJS.Timeout | null = null;
  private durationTimer: NodeJS.Timeout | null = null;
  private tryTimer: NodeJS.Timeout | null = null;
  private idleTimer: NodeJS.Timeout | null = null;
  private attemptTick = 0;
  private madeCookie: string | null = null;

  constructor(exchange: ActiveExchange, forward: Forward) {
    this.exchange = exchange;
    this.forward = forward;
    this.retry = retryPolicyOf(exchange, forward);
    this.retriesLeft = this.retry?.retries ?? 0;
    allowTime(exchange, forward, this.retry);
    exchange.taker = this;
  }

  start(): void {
    const { exchange, forward } = this;
    const { request, method } = exchange;
    this.upgrading = method === 'CONNECT' || (request.upgrade && request.find(upgradeId) >= 0);
    if (this.upgrading) {
      const protocol = method === 'CONNECT' ? 'connect' : (request.get('upgrade') ?? '').toLowerCase();
      // Offers of HTTP/2 in clear text may be ignored (RFC 9110 §7.8), anything else must be allowed.
      if (protocol === 'h2c') this.upgrading = false;
      else if (!(forward.upgrades ?? exchange.manager.upgrades).has(protocol)) {
        this.answer(403, '', '', 'upgrade_failed');
        return;
      }
    }
    const weighted = exchange.weighted ?? chooseCluster(exchange, forward);
    const pool = weighted === null ? null : exchange.plane.pool(weighted.cluster);
    if (weighted === null || pool === null) {
      this.answer(forward.clusterNotFoundStatus, '', 'NC', 'cluster_not_found');
      return;
    }
    // Of a cluster of clusters, it is the whole that is logged and counted.
    exchange.cluster =
      pool.config.name === weighted.cluster
        ? pool.config
        : (exchange.plane.table.clusters.get(weighted.cluster) ?? pool.config);
    const breaker = forward.highPriority ? pool.highBreaker : pool.breaker;
    if (!breaker.takesRequests) {
      exchange.attempts++;
      pool.counters.upstreamRqPendingOverflow++;
      this.answerOverflow();
      return;
    }
    this.weighted = weighted;
    this.pool = pool;
    this.breaker = breaker;
    breaker.requests++;
    if (forward.hash.length > 0) {
      this.hash = requestHash(forward.hash, exchange, (cookie) => {
        this.madeCookie = cookie.header;
      });
    }
    const durationMs = streamDurationMs(exchange, forward);
    if (durationMs > 0) {
      const leftMs = Math.max(1, Math.min(durationMs, maxTimerMs) - (output.tick - exchange.startTick));
      this.durationTimer = setTimeout(() => output.turn(() => this.onTooLong()), leftMs);
    }
    this.attempt(false);
    // The route's time runs from the end of the request (Envoy: RouteAction.timeout).
    if (exchange.requestComplete) this.startRouteTimer();
  }

  private answer(
    status: number,
    body: string,
    flag: string,
    details: string,
    headers: readonly string[] | null = null,
    grpcStatus: number | null = null,
  ): void {
    const { exchange } = this;
    if (flag !== '') exchange.addFlag(flag);
    this.close();
    localReply(exchange, status, body, details, headers, grpcStatus);
  }

  private answerOverflow(): void {
    this.exchange.addFlag('UO');
    this.close();
    const { status, body, details } = failureReply('overflow', '', false);
    localReply(this.exchange, status, body, details, ['x-envoy-overloaded', 'true']);
  }

  private startRouteTimer(): void {
    const timeoutMs = Math.min(this.exchange.timeoutMs, maxTimerMs);
    if (timeoutMs <= 0 || this.phase === 'over' || this.routeTimer !== null) return;
    this.routeTimer = setTimeout(() => output.turn(() => this.onTimeout('total')), timeoutMs);
  }

  /** The stream has lasted as long as it may (Envoy: max_stream_duration). */
  private onTooLong(): void {
    const { exchange } = this;
    if (this.phase === 'over' || exchange.finished) return;
    exchange.plane.statistics.http(exchange.manager).downstreamRqMaxDurationReached++;
    if (exchange.responded) {
      exchange.addFlag('DT');
      exchange.details = 'max_duration_timeout';
      this.breakOff();
      return;
    }
    this.dropConnection();
    const status = exchange.requestComplete ? 504 : 408;
    this.answer(status, 'downstream duration timeout', 'DT', 'max_duration_timeout', null, deadlineExceeded);
  }

  private onTimeout(which: 'total' | 'perTry' | 'perTryIdle'): void {
    const { exchange } = this;
    if (this.phase === 'over' || exchange.finished) return;
    const perTry = which !== 'total';
    const { counters } = this.pool!;
    if (which === 'perTry') counters.upstreamRqPerTryTimeout++;
    else if (which === 'perTryIdle') counters.upstreamRqPerTryIdleTimeout++;
    else counters.upstreamRqTimeout++;
    if (this.host !== null) {
      this.host.counters.rqTimeout++;
      this.pool!.report(this.host, 'timeout');
    }
    const details = timeoutDetails[which];
    if (exchange.responded) {
      exchange.addFlag('UT');
      exchange.details = details;
      this.breakOff();
      return;
    }
    if (perTry && this.retry !== null && retriesTimeout(this.retry) && this.mayRetry(true)) {
      this.again(true);
      return;
    }
    this.dropConnection();
    if (perTry && this.retry !== null && this.retry.retries > 0) this.noteRetryLimit();
    // Envoy: x-envoy-upstream-rq-timeout-alt-response.
    if (exchange.header('x-envoy-upstream-rq-timeout-alt-response') !== null && fromInside(exchange))
      this.answer(204, '', 'UT', details);
    else this.answer(504, 'upstream request timeout', 'UT', details);
  }

  /** One more try: `fresh` does not trust an idle connection. */
  private attempt(fresh: boolean): void {
    const { exchange } = this;
    const pool = this.pool!;
    this.phase = 'picking';
    const avoids = this.undelivered > 0 || (this.slow?.any ?? false) || (this.retry?.avoidPreviousHosts ?? true);
    const avoid = this.tried !== null && avoids ? this.tried : null;
    const host = pool.pick(
      { hash: this.hash, avoid, subset: this.weighted!.subset ?? this.forward.subset, spent: this.spent() },
      pool.config.discovery === 'originalDst'
        ? destinationOf(pool.config, (name) => exchange.header(name), exchange.connection)
        : exchange.connection.local,
    );
    if (host === null) {
      exchange.attempts++;
      pool.counters.upstreamCxNoneHealthy++;
      this.answer(503, 'no healthy upstream', 'UH', 'no_healthy_upstream');
      return;
    }
    exchange.attempts++;
    this.enterHost(host);
    this.attemptTick = output.tick;
    exchange.attemptTick = output.tick;
    this.phase = 'connecting';
    const connection =
      this.forward.terminatesConnect && exchange.method === 'CONNECT'
        ? pool.acquireRaw(host, this, this.breaker!)
        : pool.acquire(host, this, exchange.authority, fresh, exchange.protocol === 'HTTP/2', this.breaker!);
    if (connection === null) {
      this.leaveHost();
      this.answerOverflow();
      return;
    }
    if (connection === 'waiting') return;
    this.onGiven(connection);
  }

  private spent(): { tried: Host[]; every: number } | null {
    const every = this.retry?.previousPrioritiesEvery ?? 0;
    return every === 0 || this.tried === null ? null : { tried: this.tried, every };
  }

  private enterHost(host: Host): void {
    const { exchange } = this;
    this.host = host;
    host.active++;
    exchange.endpoint = host.endpoint;
    exchange.upstreamRemote = host.address;
    exchange.upstreamMtls = host.tls !== null && host.tls.certificate !== null;
  }

  onGiven(connection: UpstreamCall): void {
    this.connection = connection;
    this.reused = connection.ready;
    if (connection.ready) this.onReady();
    else this.watchDial(connection);
  }

  private watchDial(connection: UpstreamCall): void {
    this.slow ??= new SlowDials();
    this.slow.watch(connection, () => this.hedge());
  }

  /** An address that has vanished answers nothing at all: another host is dialled too. */
  private hedge(): void {
    const { connection, host } = this;
    const pool = this.pool!;
    if (this.phase !== 'connecting' || connection === null || host === null || connection.ready) return;
    const tried = [...(this.tried ?? []), host];
    if (!this.breaker!.takesConnections || !pool.hasOther(tried)) {
      this.watchDial(connection);
      return;
    }
    pool.shun(host);
    pool.hedged++;
    this.slow!.add(connection, (standing) => this.takeOver(standing));
    this.tried = tried;
    this.connection = null;
    this.leaveHost();
    this.exchange.attempts--;
    this.attempt(false);
  }

  /** A connection that took long stands after all, before the one begun after it: that one becomes the pool's. */
  private takeOver(connection: UpstreamCall): boolean {
    if ((this.phase !== 'connecting' && this.phase !== 'backingOff') || connection.host.removed) return false;
    connection.host.shunnedUntilTick = 0;
    if (this.connection !== null) this.connection.stream = null;
    else this.pool!.stopWaiting(this);
    this.resumeWith(connection);
    this.onReady();
    return true;
  }

  private resumeWith(connection: UpstreamCall): void {
    this.clearTryTimer();
    this.leaveHost();
    this.enterHost(connection.host);
    this.phase = 'connecting';
    this.reused = false;
    connection.claim = null;
    connection.stream = this;
    this.connection = connection;
  }

  /**
   * The host took nothing of the request: another gets it, whatever its method and beyond what the route's policy counts.
   * When all that are there have refused it, they are asked once more after a pause, in which news of others may arrive.
   * False when there is nobody else.
   */
  private goElsewhere(): boolean {
    const pool = this.pool!;
    const host = this.host!;
    if (pool.closed || !this.retains || this.exchange.responded || this.undelivered >= maxUndelivered) return false;
    let tried = [...(this.tried ?? []), host];
    const others = pool.hasOther(tried);
    if (!others) {
      tried = [host];
      if (!pool.hasOther(tried)) return false;
    }
    this.undelivered++;
    pool.redirected++;
    pool.shun(host);
    this.tried = tried;
    this.dropConnection();
    this.leaveHost();
    this.backOff(undeliveredBackoffMs(this.undelivered, !others));
    return true;
  }

  private backOff(waitMs: number): void {
    this.clearTryTimer();
    this.phase = 'backingOff';
    this.tryTimer = setTimeout(() => {
      output.turn(() => {
        this.tryTimer = null;
        if (this.phase === 'backingOff') this.attempt(false);
      });
    }, waitMs);
  }

  /** Sends the head, and what has come of the body, in one write. */
  onReady(): void {
    const { exchange, forward } = this;
    const connection = this.connection!;
    const { request } = exchange;
    this.phase = 'sent';
    this.everSent = true;
    this.slow?.stop();
    if (this.pool!.judgesConnects) this.pool!.report(connection.host, 'connected');
    exchange.upstreamLocal = connection.local;
    noteAttempted(exchange, connection.host.address);
    exchange.upstream = connection.facts;
    exchange.upstreamSendTick = output.tick;
    editRequest(exchange, exchange.virtualHost!, exchange.route!, forward, this.weighted!, this.host!.endpoint.host);
    if (this.upgrading && exchange.method !== 'CONNECT') outgoing.upgrade = request.get('upgrade') ?? '';
    const headBytes = connection.sendHead(outgoing);
    exchange.upstreamFieldCount = lastHead.fields;
    exchange.upstreamHeadBytes += headBytes;
    // Without `METHOD PATH HTTP/1.1`, its line end and the empty line.
    exchange.upstreamFieldBytes += headBytes - exchange.method.length - outgoing.path.length - 14;
    if (this.held !== null) for (const piece of this.held.pieces) connection.sendBody(piece, 0, piece.length);
    if (!this.retains || !this.repeatable()) {
      this.retains = false;
      this.held = null;
    }
    if (exchange.requestComplete) this.endRequest();
    this.resumeCaller();
  }

  private repeatable(): boolean {
    const { forward, exchange } = this;
    // A mesh peer may answer that it could not deliver the request.
    return (
      this.retry !== null ||
      forward.internalRedirect !== null ||
      forward.mirrors.length > 0 ||
      exchange.upstreamMtls ||
      mayRepeat(exchange.method)
    );
  }

  private endRequest(): void {
    const { perTryTimeoutMs } = this.exchange;
    this.exchange.upstreamSentTick = output.tick;
    if (perTryTimeoutMs > 0 && this.phase === 'sent')
      this.tryTimer = setTimeout(
        () => output.turn(() => this.onTimeout('perTry')),
        Math.min(perTryTimeoutMs, maxTimerMs),
      );
    if (this.retry !== null && this.retry.perTryIdleTimeoutMs > 0) this.watchIdle(this.retry.perTryIdleTimeoutMs);
    if (!this.upgrading) this.connection!.sendEnd(this.exchange.requestTrailers);
  }

  private watchIdle(ms: number): void {
    this.clearIdleTimer();
    this.idleTimer = setTimeout(() => output.turn(() => this.onTimeout('perTryIdle')), ms);
  }

  private clearIdleTimer(): void {
    if (this.idleTimer !== null) clearTimeout(this.idleTimer);
    this.idleTimer = null;
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    if (this.phase === 'over') return;
    if (this.phase === 'tunnel') {
      this.connection!.sendRaw(bytes, start, end);
      return;
    }
    const sending = this.phase === 'sent' || this.phase === 'responding';
    if (sending) {
      this.connection!.sendBody(bytes, start, end);
      if (this.connection!.congested) this.pauseCaller();
    }
    if (!this.retains) return;
    const limit = this.retry === null ? maxStaleRetainedBytes : maxRetainedBytes;
    this.held ??= new HeldBody();
    if (sending && this.held.bytes + (end - start) > limit) {
      this.retains = false;
      this.held = null;
      return;
    }
    this.held.add(bytes, start, end);
    if (!sending) this.pauseCaller();
  }

  onRequestEnd(): void {
    if (this.phase === 'tunnel') this.connection!.sendEnd(null);
    if (this.phase === 'sent' || this.phase === 'responding') this.endRequest();
    this.startRouteTimer();
  }

  private pauseCaller(): void {
    if (this.pausedCaller) return;
    this.pausedCaller = true;
    this.exchange.stream.pauseRequest();
  }

  private resumeCaller(): void {
    if (!this.pausedCaller || (this.connection?.congested ?? true)) return;
    this.pausedCaller = false;
    this.exchange.stream.resumeRequest();
  }

  onUpstreamDrain(): void {
    this.resumeCaller();
  }

  onDownstreamDrain(): void {
    if (!this.pausedUpstream) return;
    this.pausedUpstream = false;
    this.connection?.release();
  }

  onDownstreamGone(): void {
    const { exchange } = this;
    if (this.phase === 'over') return;
    this.dropConnection();
    if (this.phase === 'connecting' && this.pool !== null) this.pool.counters.upstreamRqCancelled++;
    if (this.phase !== 'tunnel') exchange.addFlag('DC');
    if (exchange.details === '' || this.phase !== 'tunnel') exchange.details = 'downstream_remote_disconnect';
    this.close();
    finish(exchange);
  }

  cancel(): void {
    this.dropConnection();
    this.close();
  }

  onInterim(block: HeaderBlock): void {
    // The proxy has answered `Expect` itself; other interim responses are the caller's (RFC 9110 §15.2).
    if (block.status !== 100 && !this.exchange.responded) this.exchange.stream.sendInterim(block);
  }

  onHead(block: HeaderBlock, endStream: boolean): void {
    const { exchange, forward } = this;
    const host = this.host!;
    exchange.upstreamFirstByteTick = output.tick;
    const { status } = block;
    if (status >= 500) host.counters.rqError++;
    else host.counters.rqSuccess++;
    if (this.pool!.config.healthCheck !== null && block.get('x-envoy-immediate-health-check-fail') !== null)
      this.pool!.failNow(host);
    if (this.pool!.judgesAnswers) {
      // A call of gRPC tells how it went at its end.
      if (!exchange.grpc) this.pool!.report(host, outcomeOf(status));
      else if (endStream) this.pool!.report(host, outcomeOfGrpc(block));
    }
    if (
      (status >= 500 || endStream) &&
      exchange.upstreamMtls &&
      block.find(undeliveredId) >= 0 &&
      !exchange.responded &&
      this.goElsewhere()
    ) {
      returnBlock(block);
      return;
    }
    if (forward.internalRedirect?.statuses.has(status) && this.redirected(forward.internalRedirect, block)) return;
    if (this.retry !== null && retriesResponse(this.retry, block)) {
      if (this.mayRetry(true)) {
        const { counters } = this.pool!;
        counters.retry ??= new RetriedCounters();
        counters.retry.upstreamRq.add(status);
        this.again(true, resetBackoffMs(this.retry, block));
        returnBlock(block);
        return;
      }
      if (this.retry.retries > 0 && this.retriesLeft <= 0) this.noteRetryLimit();
    } else if (this.retrying) this.pool!.counters.upstreamRqRetrySuccess++;
    this.clearTryTimer();
    if (this.retry !== null && this.retry.perTryIdleTimeoutMs > 0) this.watchIdle(this.retry.perTryIdleTimeoutMs);
    exchange.response = block;
    exchange.status = status;
    exchange.details = 'via_upstream';
    exchange.responded = true;
    exchange.responseTick = output.tick;
    const serviceMs = Math.floor(exchange.upstreamFirstByteTick - this.attemptTick);
    editResponse(exchange, block, edit, this.weighted, serviceMs);
    if (this.madeCookie !== null) edit.add('set-cookie', this.madeCookie);
    if (this.upgrading && (status === 101 || (exchange.method === 'CONNECT' && status < 300))) {
      this.openTunnel(block);
      return;
    }
    this.phase = 'responding';
    const body = endStream || exchange.method === 'HEAD' ? 'none' : block.contentLength >= 0 ? 'length' : 'unknown';
    exchange.responseHeaderBytes = exchange.stream.sendHead(status, block, edit, body);
  }

  /** The request goes where the response sends it, with all of its body, or not at all. */
  private redirected(policy: InternalRedirect, block: HeaderBlock): boolean {
    const { exchange, pool } = this;
    const whole = exchange.requestComplete && (this.retains || exchange.requestFraming === 'none');
    if (exchange.method === 'CONNECT' || !whole || !followRedirect(exchange, policy, block)) {
      pool!.counters.upstreamInternalRedirectFailedTotal++;
      return false;
    }
    pool!.counters.upstreamInternalRedirectSucceededTotal++;
    returnBlock(block);
    const pieces = exchange.requestFraming === 'none' || exchange.method === 'GET' ? [] : (this.held?.pieces ?? []);
    if (pieces.length === 0) exchange.requestFraming = 'none';
    this.dropConnection();
    this.close();
    serveAgain(exchange, pieces);
    return true;
  }

  private openTunnel(block: HeaderBlock): void {
    const { exchange } = this;
    this.phase = 'tunnel';
    if (block.status === 101) {
      edit.add('connection', 'upgrade');
      edit.add('upgrade', block.get('upgrade') ?? '');
    } else edit.remove('content-length');
    exchange.responseHeaderBytes = exchange.stream.sendHead(block.status, block, edit, 'none');
    if (exchange.manager.logOptions.onConnected)
      exchange.plane.telemetry.during(exchange, 'DownstreamTunnelSuccessfullyEstablished');
    exchange.stream.startTunnel();
    this.clearTimers();
    this.resumeCaller();
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    const { exchange } = this;
    exchange.responseBodyBytes += end - start;
    this.idleTimer?.refresh();
    exchange.stream.sendBody(bytes, start, end);
    if (exchange.stream.congested && !this.pausedUpstream) {
      this.pausedUpstream = true;
      this.connection!.hold();
    }
  }

  onComplete(trailers: HeaderBlock | null): void {
    const { exchange } = this;
    exchange.upstreamEndTick = output.tick;
    exchange.trailers = trailers;
    if (trailers !== null && this.host !== null && this.pool!.judgesAnswers && exchange.grpc)
      this.pool!.report(this.host, outcomeOfGrpc(trailers));
    if (this.pausedUpstream) {
      this.pausedUpstream = false;
      this.connection!.release();
    }
    this.connection = null;
    this.close();
    exchange.stream.sendEnd(trailers);
    finish(exchange);
  }

  onFailure(reason: ResetReason, detail: string, answered: boolean): void {
    const { exchange } = this;
    const host = this.host!;
    const sent = this.phase !== 'connecting';
    this.connection = null;
    this.slow?.stop();
    if (this.phase === 'tunnel') {
      this.close();
      exchange.stream.sendEnd(null);
      finish(exchange);
      return;
    }
    const stale = this.reused && sent && !answered && reason === 'connection termination';
    if (
      stale &&
      !exchange.responded &&
      this.retains &&
      this.staleRepeats < maxStaleRepeats &&
      mayRepeat(exchange.method)
    ) {
      // The host closed its idle connection as the request left: nothing is wrong with it (RFC 9110 §9.2.2).
      this.staleRepeats++;
      this.leaveHost();
      exchange.attempts--;
      this.clearTryTimer();
      this.attempt(true);
      return;
    }
    if (!sent && host.removed && !this.pool!.closed && this.undelivered < maxUndelivered) {
      // Its end became known while it was being dialled: not an attempt at all.
      this.undelivered++;
      this.pool!.redirected++;
      this.leaveHost();
      exchange.attempts--;
      this.attempt(false);
      return;
    }
    host.counters.rqError++;
    if (reason !== 'overflow') this.pool!.report(host, 'connectFailure');
    if (exchange.responded) {
      exchange.addFlag('UC');
      exchange.details = `upstream_reset_after_response_started{${reason.replaceAll(' ', '_')}}`;
      this.breakOff();
      return;
    }
    if (!sent && reason !== 'overflow') {
      if (this.goElsewhere()) return;
      const slow = this.slow?.pending ?? null;
      if (slow !== null) {
        this.resumeWith(slow);
        return;
      }
    }
    if (this.retry !== null && retriesReset(this.retry, reason, sent)) {
      if (this.mayRetry(true)) {
        this.again(false);
        return;
      }
      if (this.retry.retries > 0 && this.retriesLeft <= 0) this.noteRetryLimit();
    }
    exchange.upstreamFailure = detail;
    const { status, body, flag, details } = failureReply(reason, detail, exchange.attempts > 1);
    this.answer(status, body, flag, details, !sent && this.tellsUndelivered() ? undeliveredHeaders : null);
  }

  /** Only a proxy of this kind on the caller's side takes the header off again, and may act upon it. */
  private tellsUndelivered(): boolean {
    const { connection, method } = this.exchange;
    return (
      connection.direction === 'inbound' &&
      connection.mtls &&
      connection.offeredAlpn.includes(undeliveredProtocol) &&
      (!this.everSent || mayRepeat(method))
    );
  }

  private noteRetryLimit(): void {
    this.exchange.addFlag('URX');
    this.pool!.counters.upstreamRqRetryLimitExceeded++;
  }

  private mayRetry(replay: boolean): boolean {
    if (this.retry === null || this.retriesLeft <= 0 || this.exchange.responded) return false;
    if (replay && !this.retains) return false;
    if (!this.retrying && !this.breaker!.takesRetries) {
      this.pool!.counters.upstreamRqRetryOverflow++;
      this.exchange.addFlag('UO');
      return false;
    }
    return true;
  }

  private again(drop: boolean, resetMs: number | null = null): void {
    const policy = this.retry!;
    const { counters } = this.pool!;
    this.retriesLeft--;
    counters.upstreamRqRetry++;
    if (resetMs === null) counters.upstreamRqRetryBackoffExponential++;
    else counters.upstreamRqRetryBackoffRatelimited++;
    if (!this.retrying) {
      this.retrying = true;
      this.breaker!.retries++;
    }
    this.tried ??= [];
    this.tried.push(this.host!);
    if (drop) this.dropConnection();
    this.leaveHost();
    this.backOff(resetMs ?? backoffMs(policy, policy.retries - this.retriesLeft));
  }

  /** The response cannot be completed: the caller must notice. */
  private breakOff(): void {
    const { exchange } = this;
    this.dropConnection();
    this.close();
    exchange.stream.abort();
    finish(exchange);
  }

  private dropConnection(): void {
    if (this.phase === 'connecting' && this.connection === null) this.pool!.stopWaiting(this);
    const { connection } = this;
    this.connection = null;
    connection?.abandon();
  }

  private leaveHost(): void {
    if (this.host !== null) this.host.active--;
    this.host = null;
  }

  private clearTryTimer(): void {
    if (this.tryTimer !== null) clearTimeout(this.tryTimer);
    this.tryTimer = null;
    this.clearIdleTimer();
  }

  private clearTimers(): void {
    this.clearTryTimer();
    this.slow?.stop();
    if (this.routeTimer !== null) clearTimeout(this.routeTimer);
    this.routeTimer = null;
    if (this.durationTimer !== null) clearTimeout(this.durationTimer);
    this.durationTimer = null;
  }

  /** Gives everything back that the request held; exactly once. */
  private close(): void {
    if (this.phase === 'over') return;
    this.phase = 'over';
    this.clearTimers();
    this.leaveHost();
    if (this.breaker !== null) {
      this.breaker.requests--;
      if (this.retrying) this.breaker.retries--;
    }
    if (this.forward.mirrors.length > 0) startMirrors(this.exchange, this.forward, this.retains ? this.held : null);
    if (this.pausedCaller) {
      this.pausedCaller = false;
      this.exchange.stream.resumeRequest();
    }
  }
}
