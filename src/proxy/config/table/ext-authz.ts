import type { StringMatch, ValueMatch } from '../match.ts';
import type { GrpcTarget, MetadataPath } from './rate-limit.ts';

/** Asks a service whether a request may pass (Envoy: ext_authz). */
export interface ExtAuthzFilter {
  readonly kind: 'extAuthz';
  readonly service: AuthzService;
  /** Null does not send the body. */
  readonly body: AuthzBody | null;
  readonly failureAllows: boolean;
  /** A request that passes because of a failure says so in x-envoy-auth-failure-mode-allowed. */
  readonly tellsFailure: boolean;
  readonly errorStatus: number;
  /** An answer with a header that is none refuses the request. */
  readonly validates: boolean;
  readonly clearsRoute: boolean;
  /** Share of requests that are asked about, in millionths. */
  readonly enabledMillionths: number;
  /** Only requests with this in their metadata; null for all. */
  readonly enabledBy: (MetadataPath & { readonly match: ValueMatch; readonly invert: boolean }) | null;
  /** Requests that are not asked about are refused. */
  readonly deniesDisabled: boolean;
  /** Namespaces of the request's metadata, and of the route's, that the service is told. */
  readonly metadata: readonly string[];
  readonly routeMetadata: readonly string[];
  /** Headers that the service is told; null for all, or for the usual ones over HTTP. */
  readonly headers: readonly StringMatch[] | null;
  readonly withoutHeaders: readonly StringMatch[];
  readonly tellsTls: boolean;
  readonly rawHeaders: boolean;
}

export type AuthzService =
  | { readonly kind: 'grpc'; readonly target: GrpcTarget }
  | {
      readonly kind: 'http';
      readonly cluster: string;
      readonly timeoutMs: number;
      readonly pathPrefix: string;
      readonly add: ReadonlyArray<readonly [name: string, value: string]>;
      /** Headers of the answer: for the upstream instead of or beside the request's own, and for the caller. */
      readonly upstream: readonly StringMatch[];
      readonly upstreamAppended: readonly StringMatch[];
      /** Of a refusal; null for all. */
      readonly client: readonly StringMatch[] | null;
      readonly clientOnSuccess: readonly StringMatch[];
      readonly metadataFrom: readonly StringMatch[];
    };

export interface AuthzBody {
  readonly maxBytes: number;
  /** The service gets the beginning of what is larger; else that is refused. */
  readonly partial: boolean;
  readonly asBytes: boolean;
}

export interface RouteExtAuthz {
  readonly kind: 'extAuthz';
  readonly disabled: boolean;
  /** Of all levels. */
  readonly context: Readonly<Record<string, string>>;
  /** Undefined leaves what the filter says. */
  readonly body: AuthzBody | null | undefined;
}
