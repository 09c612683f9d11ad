import type { Http2Limits } from '../../codec/http2-limits.ts';
import type { AccessLogFilter, AccessLogFormat } from '../../telemetry/access-log.ts';
import type { StringMatch } from '../match.ts';
import type { HttpFilter } from './filter.ts';
import type { AccessLogSink, CidrRange, LogOptions } from './listener.ts';
import type { HeaderMatch } from './route.ts';
import type { Tracing } from './tracing.ts';

export interface HttpManager {
  readonly statPrefix: string;
  readonly codec: 'auto' | 'http1' | 'http2';
  readonly http2: Http2Limits;
  /**
   * Look the routes up in `Table.routeTables` under this name for each request, so that open connections follow a push.
   * The table always holds it; inline routes are held under a made-up name.
   */
  readonly routeName: string;
  /** In the order of the chain, without those that do nothing here and the router. */
  readonly filters: readonly HttpFilter[];
  readonly accessLogs: readonly AccessLogSink[];
  readonly logOptions: LogOptions;
  /** Null when nothing is traced. */
  readonly tracing: Tracing | null;
  readonly serverName: string;
  readonly serverHeader: 'overwrite' | 'appendIfAbsent' | 'passThrough';
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  readonly skipXffAppend: boolean;
  readonly appendForwardedPort: boolean;
  /** Addresses of callers that are trusted as internal (Envoy: internal_address_config). */
  readonly internalRanges: readonly CidrRange[];
  readonly via: string;
  readonly requestIdInResponse: boolean;
  /** Names with an underscore (Envoy: headers_with_underscores_action). */
  readonly underscores: 'allow' | 'reject' | 'drop';
  readonly acceptsHttp10: boolean;
  /** Host of HTTP/1.0 requests that name none; ''. */
  readonly defaultHost: string;
  readonly acceptsAbsoluteUrl: boolean;
  /** From the first byte of a request to the last of its response; 0 is off. */
  readonly maxStreamDurationMs: number;
  /** How long a connection takes requests; 0 is for ever. */
  readonly maxConnectionMs: number;
  /** How many it takes; 0 is any number. */
  readonly maxRequestsPerConnection: number;
  readonly stripPort: 'none' | 'matching' | 'any';
  readonly stripTrailingDot: boolean;
  /** What a sanitizeSet or appendForward element tells besides By and Hash. */
  readonly clientCertDetails: {
    readonly subject: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  readonly forwardClientCert: 'sanitize' | 'forwardOnly' | 'appendForward' | 'sanitizeSet' | 'alwaysForwardOnly';
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'keep' | 'reject' | 'unescapeAndForward' | 'unescapeAndRedirect';
  readonly upgrades: ReadonlySet<string>;
  readonly maxRequestHeadersBytes: number;
  readonly maxRequestHeaders: number;
  readonly requestHeadersTimeoutMs: number;
  /** From the first byte of a request to its last; 0 is off. */
  readonly requestTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly generateRequestId: boolean;
  /** Keeps an x-request-id that came from outside; false replaces it when `useRemoteAddress` marks the edge. */
  readonly preserveExternalRequestId: boolean;
  readonly localReplies: LocalReplies | null;
  /** No x-envoy-* headers are made (Envoy: Router.suppress_envoy_headers). */
  readonly suppressEnvoyHeaders: boolean;
}

/** How answers of the proxy's own are rewritten (Envoy: local_reply_config). */
export interface LocalReplies {
  /** The first whose filter holds rewrites the answer. */
  readonly mappers: readonly LocalReplyMapper[];
  /** Null sends bodies as they are. */
  readonly format: ReplyFormat | null;
}

export interface LocalReplyMapper {
  readonly filter: AccessLogFilter;
  /** Null leaves it. */
  readonly status: number | null;
  readonly body: string | null;
  readonly headers: HeaderMutation | null;
  /** Null takes the one for all. */
  readonly format: ReplyFormat | null;
}

export interface ReplyFormat {
  readonly text: AccessLogFormat;
  readonly contentType: string;
}

export interface Fault {
  /** `ms` null: as x-envoy-fault-delay-request says. */
  readonly delay: { readonly ms: number | null; readonly millionths: number } | null;
  /** `status` 0: as x-envoy-fault-abort-request or -grpc-request says. */
  readonly abort: { readonly status: number; readonly grpcStatus: number | null; readonly millionths: number } | null;
  /** Only requests with all of these headers. */
  readonly headers: readonly HeaderMatch[];
  /** Only requests that a route takes to this cluster; '' for all. */
  readonly upstreamCluster: string;
  /** Only requests of these, by x-envoy-downstream-service-node; null for all. */
  readonly downstreamNodes: ReadonlySet<string> | null;
  /** No more are injected while this many are. */
  readonly maxActive: number;
}

/** One level's policy; '' and null leave to the less specific one what it does not say. */
export interface Cors {
  /** Shares of requests, in millionths, for which it is enforced, and for which it is only counted. */
  readonly enabledMillionths: number;
  readonly shadowMillionths: number;
  readonly origins: readonly StringMatch[];
  readonly methods: string;
  readonly headers: string;
  readonly expose: string;
  readonly maxAge: string;
  readonly allowCredentials: boolean | null;
  readonly allowPrivateNetwork: boolean | null;
  /** Preflights of other origins go on to the upstream. */
  readonly forwardsOthers: boolean | null;
}

export interface HeaderMutation {
  /** In order; `value` may hold Envoy's command operators, compiled to a function of the exchange. */
  readonly add: ReadonlyArray<{
    readonly name: string;
    readonly value: HeaderValue;
    readonly keepEmpty: boolean;
    readonly action: 'append' | 'overwrite' | 'addIfAbsent' | 'overwriteIfExists';
  }>;
  readonly remove: readonly string[];
}

/** A constant, or a format with %COMMAND% operators evaluated against the exchange (telemetry/format.ts). */
export type HeaderValue = string | ((exchange: never) => string);
