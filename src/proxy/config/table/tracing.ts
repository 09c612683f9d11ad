import type { Exchange } from '../../http/exchange.ts';

/** Tracing of a connection manager (Envoy: HttpConnectionManager.Tracing). Shares are in millionths. */
export interface Tracing {
  readonly provider: TraceProvider;
  readonly client: number;
  readonly random: number;
  readonly overall: number;
  readonly maxPathTagLength: number;
  readonly customTags: readonly CustomTag[];
}

/** What a route says otherwise; null leaves what the connection manager says. */
export interface RouteTracing {
  readonly client: number;
  readonly random: number;
  readonly overall: number;
  readonly customTags: readonly CustomTag[];
}

export interface Decorator {
  readonly operation: string;
  /** The operation is told to the other side in x-envoy-decorator-operation. */
  readonly propagate: boolean;
}

export interface CustomTag {
  readonly name: string;
  /** Null leaves the tag out. */
  readonly read: (exchange: Exchange) => string | null;
}

/** Where spans go. Two providers with the same `key` share an exporter. */
export interface TraceProvider {
  readonly kind: 'opentelemetry' | 'zipkin';
  readonly key: string;
  readonly cluster: string;
  readonly protocol: 'grpc' | 'http';
  /** Of the HTTP request; '' for gRPC. */
  readonly path: string;
  readonly authority: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly timeoutMs: number;
  readonly serviceName: string;
  /** Zipkin: the server's span has the caller's id; trace ids of 128 bits. */
  readonly sharedSpan: boolean;
  readonly longTraceIds: boolean;
}
