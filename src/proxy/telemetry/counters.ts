/**
 * What the data path counts, in objects of one shape: whoever sees a thing happen adds to a field. A field's name is Envoy's
 * name in camel case (Envoy documentation, "Statistics" of listeners, connection managers, clusters, TCP proxies); text is
 * made of it only when someone reads (stat.ts).
 */
import { Histogram } from './histogram.ts';

/** Responses by their code: few codes are seen, so that a short list beats a table. */
export class CodeCounters {
  /** Places 1 to 5 count 1xx to 5xx. */
  readonly classes: number[] = [0, 0, 0, 0, 0, 0];
  readonly codes: number[] = [];
  readonly counts: number[] = [];
  completed = 0;

  add(status: number): void {
    this.completed++;
    this.classes[Math.floor(status / 100)]++;
    const { codes } = this;
    for (let i = 0; i < codes.length; i++)
      if (codes[i] === status) {
        this.counts[i]++;
        return;
      }
    codes.push(status);
    this.counts.push(1);
  }

  clear(): void {
    this.completed = 0;
    this.classes.fill(0);
    this.counts.fill(0);
  }
}

/** Of one HTTP connection manager's `stat_prefix`. */
export class HttpCounters {
  downstreamCxTotal = 0;
  downstreamCxActive = 0;
  downstreamCxHttp1Total = 0;
  downstreamCxHttp1Active = 0;
  downstreamCxHttp2Total = 0;
  downstreamCxHttp2Active = 0;
  downstreamCxSslTotal = 0;
  downstreamCxSslActive = 0;
  downstreamCxUpgradesTotal = 0;
  downstreamCxUpgradesActive = 0;
  downstreamCxDestroy = 0;
  downstreamCxDestroyLocal = 0;
  downstreamCxDestroyRemote = 0;
  downstreamCxDestroyActiveRq = 0;
  downstreamCxDrainClose = 0;
  downstreamCxIdleTimeout = 0;
  downstreamCxMaxDurationReached = 0;
  downstreamCxMaxRequestsReached = 0;
  downstreamCxOverloadDisableKeepalive = 0;
  downstreamCxProtocolError = 0;
  downstreamCxRxBytesTotal = 0;
  downstreamCxTxBytesTotal = 0;
  downstreamFlowControlPausedReadingTotal = 0;
  downstreamFlowControlResumedReadingTotal = 0;
  downstreamRqTotal = 0;
  downstreamRqActive = 0;
  downstreamRqHttp1Total = 0;
  downstreamRqHttp2Total = 0;
  downstreamRqFailedPathNormalization = 0;
  downstreamRqRedirectedWithNormalizedPath = 0;
  downstreamRqHeaderTimeout = 0;
  downstreamRqIdleTimeout = 0;
  downstreamRqMaxDurationReached = 0;
  downstreamRqTimeout = 0;
  downstreamRqNonRelativePath = 0;
  downstreamRqOverloadClose = 0;
  downstreamRqRxReset = 0;
  downstreamRqTxReset = 0;
  downstreamRqTooLarge = 0;
  downstreamRqTooManyPrematureResets = 0;
  downstreamRqWsOnNonWsRoute = 0;
  downstreamRqResponseBeforeRqComplete = 0;
  rqTotal = 0;
  rqDirectResponse = 0;
  rqRedirect = 0;
  rqResetAfterDownstreamResponseStarted = 0;
  noRoute = 0;
  noCluster = 0;
  rsTooLarge = 0;
  passthroughInternalRedirectBadLocation = 0;
  passthroughInternalRedirectNoRoute = 0;
  passthroughInternalRedirectPredicate = 0;
  passthroughInternalRedirectTooManyRedirects = 0;
  passthroughInternalRedirectUnsafeScheme = 0;
  /** Counted as `downstream_rq_completed` and `downstream_rq_Nxx`. */
  readonly downstreamRq: CodeCounters = new CodeCounters();
  readonly downstreamRqTime: Histogram = new Histogram();
  /** Null until a request is considered. */
  tracing: TracingCounters | null = null;
  readonly downstreamCxLengthMs: Histogram = new Histogram();
}

/** Counted under `http.PREFIX.tracing.`. */
export class TracingCounters {
  randomSampling = 0;
  serviceForced = 0;
  clientEnabled = 0;
  notTraceable = 0;
  healthCheck = 0;
}

/** Of one listener's address. */
export class ListenerCounters {
  downstreamCxTotal = 0;
  downstreamCxActive = 0;
  downstreamCxDestroy = 0;
  downstreamCxOverflow = 0;
  downstreamCxOverloadReject = 0;
  downstreamCxTransportSocketConnectTimeout = 0;
  downstreamGlobalCxOverflow = 0;
  downstreamListenerFilterError = 0;
  downstreamListenerFilterRemoteClose = 0;
  downstreamPreCxActive = 0;
  downstreamPreCxTimeout = 0;
  noFilterChainMatch = 0;
  readonly downstreamCxLengthMs: Histogram = new Histogram();
  /** Counted under `ssl.`; null until TLS ends here. */
  ssl: SslCounters | null = null;
}

export class SslCounters {
  connectionError = 0;
  handshake = 0;
  sessionReused = 0;
  noCertificate = 0;
  failVerifyNoCert = 0;
  failVerifyError = 0;
  failVerifySan = 0;
  failVerifyCertHash = 0;
}

/** Of one TCP proxy's `stat_prefix`. */
export class TcpCounters {
  downstreamCxTotal = 0;
  downstreamCxNoRoute = 0;
  downstreamCxRxBytesTotal = 0;
  downstreamCxTxBytesTotal = 0;
  downstreamFlowControlPausedReadingTotal = 0;
  downstreamFlowControlResumedReadingTotal = 0;
  idleTimeout = 0;
  maxDownstreamConnectionDuration = 0;
  upstreamFlushActive = 0;
  upstreamFlushTotal = 0;
}

/** Of one cluster, under its name for statistics. */
export class ClusterCounters {
  upstreamCxTotal = 0;
  upstreamCxActive = 0;
  upstreamCxHttp1Total = 0;
  upstreamCxHttp2Total = 0;
  upstreamCxConnectFail = 0;
  upstreamCxConnectTimeout = 0;
  upstreamCxConnectAttemptsExceeded = 0;
  upstreamCxIdleTimeout = 0;
  upstreamCxMaxDurationReached = 0;
  upstreamCxMaxRequests = 0;
  upstreamCxNoneHealthy = 0;
  upstreamCxOverflow = 0;
  upstreamCxPoolOverflow = 0;
  upstreamCxProtocolError = 0;
  upstreamCxCloseNotify = 0;
  upstreamCxDestroy = 0;
  upstreamCxDestroyLocal = 0;
  upstreamCxDestroyRemote = 0;
  upstreamCxDestroyWithActiveRq = 0;
  upstreamCxDestroyLocalWithActiveRq = 0;
  upstreamCxDestroyRemoteWithActiveRq = 0;
  upstreamCxRxBytesTotal = 0;
  upstreamCxTxBytesTotal = 0;
  upstreamFlowControlPausedReadingTotal = 0;
  upstreamFlowControlResumedReadingTotal = 0;
  upstreamFlowControlBackedUpTotal = 0;
  upstreamFlowControlDrainedTotal = 0;
  upstreamInternalRedirectSucceededTotal = 0;
  upstreamInternalRedirectFailedTotal = 0;
  upstreamRqTotal = 0;
  upstreamRqActive = 0;
  upstreamRqCancelled = 0;
  upstreamRqMaintenanceMode = 0;
  upstreamRqMaxDurationReached = 0;
  upstreamRqTimeout = 0;
  upstreamRqPerTryTimeout = 0;
  upstreamRqPerTryIdleTimeout = 0;
  upstreamRqRxReset = 0;
  upstreamRqTxReset = 0;
  upstreamRqPendingTotal = 0;
  upstreamRqPendingActive = 0;
  upstreamRqPendingOverflow = 0;
  upstreamRqPendingFailureEject = 0;
  upstreamRqActiveOverflow = 0;
  upstreamRqRetry = 0;
  upstreamRqRetrySuccess = 0;
  upstreamRqRetryOverflow = 0;
  upstreamRqRetryLimitExceeded = 0;
  upstreamRqRetryBackoffExponential = 0;
  upstreamRqRetryBackoffRatelimited = 0;
  retryOrShadowAbandoned = 0;
  lbHealthyPanic = 0;
  lbSubsetsActive = 0;
  lbSubsetsCreated = 0;
  lbSubsetsRemoved = 0;
  lbSubsetsSelected = 0;
  lbSubsetsFallback = 0;
  lbSubsetsFallbackPanic = 0;
  lbZoneRoutingAllDirectly = 0;
  lbZoneRoutingSampled = 0;
  lbZoneRoutingCrossZone = 0;
  lbZoneClusterTooSmall = 0;
  lbLocalClusterNotOk = 0;
  membershipChange = 0;
  bindErrors = 0;
  updateAttempt = 0;
  updateSuccess = 0;
  updateFailure = 0;
  updateNoRebuild = 0;
  updateEmpty = 0;
  /** Requests that went on to another host because one had not taken them. */
  upstreamRqUndeliveredRedirected = 0;
  /** Second connections that were begun because a first took long. */
  upstreamCxConnectHedged = 0;
  /** Counted as `upstream_rq_completed`, `upstream_rq_Nxx` and `upstream_rq_CODE`, and again by where the caller is. */
  readonly upstreamRq: CodeCounters = new CodeCounters();
  internal: OriginCounters | null = null;
  external: OriginCounters | null = null;
  retry: RetriedCounters | null = null;
  /** Null until something is recorded. */
  upstreamRqTime: Histogram | null = null;
  upstreamCxConnectMs: Histogram | null = null;
  upstreamCxLengthMs: Histogram | null = null;
  /** Null until a health check is made. */
  healthCheck: HealthCheckCounters | null = null;
  outlierDetection: OutlierCounters | null = null;
  ssl: SslCounters | null = null;
}

/** Responses that were not passed on because the request was tried again. */
export class RetriedCounters {
  readonly upstreamRq: CodeCounters = new CodeCounters();
}

/** Responses to callers of one origin: inside the network, or beyond its edge. */
export class OriginCounters {
  readonly upstreamRq: CodeCounters = new CodeCounters();
  readonly upstreamRqTime: Histogram = new Histogram();
}

export class HealthCheckCounters {
  attempt = 0;
  success = 0;
  failure = 0;
  passiveFailure = 0;
  networkFailure = 0;
  verifyCluster = 0;
  healthy = 0;
  degraded = 0;
}

export class OutlierCounters {
  ejectionsActive = 0;
  ejectionsOverflow = 0;
  ejectionsEnforcedTotal = 0;
  ejectionsDetectedConsecutive5xx = 0;
  ejectionsEnforcedConsecutive5xx = 0;
  ejectionsDetectedConsecutiveGatewayFailure = 0;
  ejectionsEnforcedConsecutiveGatewayFailure = 0;
  ejectionsDetectedConsecutiveLocalOriginFailure = 0;
  ejectionsEnforcedConsecutiveLocalOriginFailure = 0;
  ejectionsDetectedSuccessRate = 0;
  ejectionsEnforcedSuccessRate = 0;
  ejectionsDetectedLocalOriginSuccessRate = 0;
  ejectionsEnforcedLocalOriginSuccessRate = 0;
  ejectionsDetectedFailurePercentage = 0;
  ejectionsEnforcedFailurePercentage = 0;
  ejectionsDetectedLocalOriginFailurePercentage = 0;
  ejectionsEnforcedLocalOriginFailurePercentage = 0;
}

/** Of one endpoint, shown by /clusters. */
export class HostCounters {
  cxTotal = 0;
  cxConnectFail = 0;
  rqTotal = 0;
  rqSuccess = 0;
  rqError = 0;
  rqTimeout = 0;
}

/** Of one HTTP filter, by Envoy's names as they are. */
export type FilterCounters = Record<string, number>;

/** What each filter counts (Envoy documentation, "Statistics" of the HTTP filters). */
export const filterStatistics = {
  rbac: ['allowed', 'denied'],
  rbacLog: ['allowed', 'denied', 'logged', 'not_logged'],
  rbacShadow: ['shadow_allowed', 'shadow_denied'],
  fault: ['aborts_injected', 'active_faults', 'delays_injected', 'faults_overflow', 'response_rl_injected'],
  cors: ['origin_invalid', 'origin_valid'],
  extAuthz: ['denied', 'disabled', 'error', 'failure_mode_allowed', 'invalid', 'ok'],
  localRateLimit: ['enabled', 'enforced', 'ok', 'rate_limited'],
  rateLimit: ['error', 'failure_mode_allowed', 'ok', 'over_limit'],
  jwt: [
    'allowed',
    'cors_preflight_bypassed',
    'denied',
    'jwks_fetch_failed',
    'jwks_fetch_success',
    'jwt_cache_hit',
    'jwt_cache_miss',
  ],
} as const satisfies Record<string, readonly string[]>;

export type FilterStatistics = keyof typeof filterStatistics;

/** Fields that go down as well as up. */
export const gauges: ReadonlySet<string> = new Set([
  'downstreamCxActive',
  'downstreamCxHttp1Active',
  'downstreamCxHttp2Active',
  'downstreamCxSslActive',
  'downstreamCxUpgradesActive',
  'downstreamRqActive',
  'downstreamPreCxActive',
  'upstreamFlushActive',
  'upstreamCxActive',
  'upstreamRqActive',
  'upstreamRqPendingActive',
  'lbSubsetsActive',
  'ejectionsActive',
  'healthy',
  'degraded',
  'active_faults',
]);
