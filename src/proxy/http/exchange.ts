import type { Cluster, Endpoint, HttpManager, Listener, Route, Table, TcpProxy, VirtualHost } from '../config/table.ts';
import type { Address, CertificateFacts, ConnectionFacts } from '../net/connection.ts';
import type { AccessLogType } from '../telemetry/access-log.ts';
import type { RequestFacts } from './facts.ts';

/**
 * One request and its response, as access logs, metrics and header formats read it. It is handed to `Telemetry.finish`
 * exactly once; everything must be read before `finish` returns, since the header bytes are used again afterwards.
 */
export interface Exchange extends RequestFacts {
  readonly connection: ConnectionFacts;
  readonly listener: Listener;
  readonly manager: HttpManager;
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** The following are milliseconds of `performance.now()`; -1 for a point that was not reached. */
  readonly startTick: number;
  readonly requestEndTick: number;
  readonly upstreamFirstByteTick: number;
  readonly upstreamEndTick: number;
  readonly endTick: number;
  /** Whether the request's content type is gRPC's. */
  readonly grpc: boolean;
  /** The path as it came, before normalisation and rewriting. */
  readonly originalPath: string;
  readonly requestHeaderBytes: number;
  readonly requestBodyBytes: number;
  readonly responseHeaderBytes: number;
  readonly responseBodyBytes: number;
  /** Of the request's span, lower-case hex; '' when it is not traced. */
  readonly traceId: string;
  readonly spanId: string;
  /** What the caller was answered; 0 when it left before an answer. */
  readonly status: number;
  /** Envoy's short response flags (UF, UH, URX, UT, NR, UO, UC, DC, LR, DPE, FI, DI, SI, UMSDR…), `,` between; '' for none. */
  readonly flags: string;
  /** Envoy's %RESPONSE_CODE_DETAILS%: `via_upstream`, `rbac_access_denied_matched_policy[…]`, …. */
  readonly details: string;
  /** %UPSTREAM_TRANSPORT_FAILURE_REASON%; ''. */
  readonly upstreamFailure: string;
  readonly virtualHost: VirtualHost | null;
  readonly route: Route | null;
  readonly cluster: Cluster | null;
  readonly endpoint: Endpoint | null;
  /** Where the upstream connection went, and from where. */
  readonly upstreamRemote: Address | null;
  readonly upstreamLocal: Address | null;
  /** Whether the upstream connection was mutual TLS. */
  readonly upstreamMtls: boolean;
  /** Null before one stood. */
  readonly upstream: UpstreamFacts | null;
  /** When the latest attempt began, was first sent, and was sent whole; -1 for what was not reached. */
  readonly attemptTick: number;
  readonly upstreamSendTick: number;
  readonly upstreamSentTick: number;
  /** When the response's head left for the caller. */
  readonly responseTick: number;
  /** Of the heads on the wire: received fields, received response. */
  receivedFieldBytes(): number;
  /** Sent heads, over all attempts, whole and without start and empty lines. */
  readonly upstreamHeadBytes: number;
  readonly upstreamFieldBytes: number;
  /** Fields of the heads: received, sent to the upstream, sent to the caller. */
  readonly requestFieldCount: number;
  readonly upstreamFieldCount: number;
  readonly responseFieldCount: number;
  receivedResponseBytes(): { readonly head: number; readonly fields: number };
  /** x-request-id when this proxy made or changed it; ''. */
  readonly requestId: string;
  /** Name and value of the one that came; 0 without one. */
  receivedIdBytes(): number;
  /** Names and values of the response's trailers. */
  trailerBytes(): number;
  /** Hosts that a connection stood to, when they were several; null otherwise. */
  readonly attempted: readonly Address[] | null;
  /** Of an answer of the proxy itself; ''. */
  readonly localReplyBody: string;
  /** Whether a filter knew it for a balancer's health check. */
  readonly healthCheck: boolean;
  /** Attempts made, the first included; 0 when none was. */
  readonly attempts: number;
  /** Header of the request as it was sent on, or as it came when it was not; knows the pseudo-headers. */
  sentHeader(name: string): string | null;
  /** Header of the response as the caller got it, by lower-case name, joined by `,`; null when absent. */
  responseHeader(name: string): string | null;
  /** Trailer of the response, or null. */
  responseTrailer(name: string): string | null;
}

/** The upstream connection that served a request or a relay. Ticks are those of `performance.now()`. */
export interface UpstreamFacts {
  readonly id: number;
  readonly protocol: 'HTTP/1.1' | 'HTTP/2' | '';
  readonly address: Address;
  /** When it was begun, and when it could be used. */
  readonly dialTick: number;
  readonly connectedTick: number;
  /** Null for a plain one. */
  readonly tls: UpstreamTlsFacts | null;
}

export interface UpstreamTlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly sni: string;
  readonly peer: CertificateFacts | null;
  readonly own: CertificateFacts | null;
}

/** One TCP connection that was relayed, for logs and metrics. Counters grow while it lives. */
export interface TcpSession {
  readonly connection: ConnectionFacts;
  readonly listener: Listener;
  readonly proxy: TcpProxy | null;
  readonly cluster: Cluster | null;
  readonly endpoint: Endpoint | null;
  readonly startedAtMs: number;
  readonly startTick: number;
  /** -1 while it is open. */
  readonly endTick: number;
  /** Bytes from the caller. */
  readonly receivedBytes: number;
  /** Bytes to the caller. */
  readonly sentBytes: number;
  readonly flags: string;
  readonly details: string;
  readonly upstreamFailure: string;
  readonly upstreamRemote: Address | null;
  readonly upstreamLocal: Address | null;
  readonly upstreamMtls: boolean;
  readonly upstream: UpstreamFacts | null;
  readonly attempts: number;
}

/** What the data path tells the world. None of these may throw or keep what it was given. */
export interface Telemetry {
  /** Once for each request, after its last byte. */
  finish(exchange: Exchange): void;
  /** A line about what is still under way: a request, a tunnel, a connection; asked for by `LogOptions`. */
  during(subject: Exchange | TcpSession, type: AccessLogType): void;
  /** Once when a TCP relay has its upstream connection. */
  tcpOpened(session: TcpSession): void;
  /** Once when it is over; `tcpOpened` may be missing when it never reached an upstream. */
  tcpClosed(session: TcpSession): void;
  /** Whenever another table takes over. */
  adopt(table: Table): void;
}
