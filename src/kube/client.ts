/** The door to a Kubernetes API server. */
import type { ApiObject, Resource } from './object.ts';

export interface CallOptions {
  signal?: AbortSignal;
  /** The longest wait for one answer; 30 s unless told. */
  timeoutMs?: number;
}

export interface Selection {
  /** All namespaces unless told. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface Listing<T> {
  items: T[];
  resourceVersion: string;
}

export interface WatchEvent<T extends ApiObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: T;
}

export interface ApplyOptions extends CallOptions {
  /** Who owns the fields, e.g. `lateen-operator`. */
  fieldManager: string;
  /** Takes fields over from other managers instead of failing with a conflict. True unless told. */
  force?: boolean;
  dryRun?: boolean;
}

export interface DeleteOptions extends CallOptions {
  propagation?: 'Foreground' | 'Background' | 'Orphan';
  /** Deletes only the object with this uid. */
  uid?: string;
  resourceVersion?: string;
  gracePeriodSeconds?: number;
}

export interface TokenReviewResult {
  authenticated: boolean;
  /** `system:serviceaccount:<namespace>:<name>` for a service account. */
  username?: string;
  groups: string[];
  audiences: string[];
  extra: { [key: string]: string[] };
  /** Why not, when it is not authenticated. */
  error?: string;
}

/**
 * Every call retries, bounded, on 429 (after the server's Retry-After), on a refused connection, and on 5xx or a
 * dropped connection where a repetition is harmless. What remains is thrown as `ApiError`.
 */
export interface KubeClient {
  /** The API server's URL, for messages. */
  readonly server: string;
  /** The namespace of the kubeconfig's context or of the pod; `default` without one. */
  readonly namespace: string;

  /** The object, or null when it is not there. */
  get<T extends ApiObject>(of: Resource<T>, name: string, namespace?: string, options?: CallOptions): Promise<T | null>;
  /** Every object of the selection, fetched page by page. */
  list<T extends ApiObject>(of: Resource<T>, selection?: Selection & CallOptions): Promise<Listing<T>>;
  /** The same, a page at a time; `resourceVersion` is the list's. */
  pages<T extends ApiObject>(
    of: Resource<T>,
    selection?: Selection & CallOptions & { pageSize?: number },
  ): AsyncGenerator<Listing<T>>;
  /** Changes after `resourceVersion`, bookmarks included, until the server ends the watch; throws `ApiError` 410 when the version has expired. */
  watch<T extends ApiObject>(
    of: Resource<T>,
    selection: Selection & { resourceVersion: string; timeoutSeconds: number; stallMs: number; signal: AbortSignal },
  ): AsyncGenerator<WatchEvent<T>>;
  create<T extends ApiObject>(
    of: Resource<T>,
    object: T,
    options?: CallOptions & { fieldManager?: string; dryRun?: boolean },
  ): Promise<T>;
  /** Replaces the object; a `resourceVersion` in it makes a concurrent change fail with 409. */
  update<T extends ApiObject>(
    of: Resource<T>,
    object: T,
    options?: CallOptions & { fieldManager?: string },
  ): Promise<T>;
  /** Server-side apply. */
  apply<T extends ApiObject>(of: Resource<T>, object: T, options: ApplyOptions): Promise<T>;
  /** A list of operations is a JSON patch (RFC 6902), an object a merge patch (RFC 7386). */
  patch<T extends ApiObject>(
    of: Resource<T>,
    name: string,
    namespace: string | undefined,
    patch: object | object[],
    options?: CallOptions & { subresource?: 'status'; fieldManager?: string },
  ): Promise<T>;
  /** Merges into the status subresource. */
  patchStatus<T extends ApiObject>(
    of: Resource<T>,
    name: string,
    namespace: string | undefined,
    status: object,
    options?: CallOptions,
  ): Promise<T>;
  /** False when it was not there. */
  delete(of: Resource, name: string, namespace?: string, options?: DeleteOptions): Promise<boolean>;

  /** A token of a service account for `audience`. */
  requestToken(
    serviceAccount: string,
    namespace: string,
    audience: string,
    expirationSeconds: number,
    options?: CallOptions,
  ): Promise<string>;
  reviewToken(token: string, audiences: string[], options?: CallOptions): Promise<TokenReviewResult>;
  /** GET of `path` on a pod's port through the API server's proxy. */
  getFromPod(pod: string, namespace: string, port: number, path: string, options?: CallOptions): Promise<string>;
  /** The same of a port that listens on loopback in the pod, through a port-forward. */
  askInPod(
    pod: string,
    namespace: string,
    port: number,
    path: string,
    options?: CallOptions & { method?: 'GET' | 'POST' },
  ): Promise<string>;
  /** GET of any path of the API server, as text: `/readyz`, `/version`. */
  getRaw(path: string, options?: CallOptions): Promise<string>;
  /** Closes idle connections. */
  close(): void;
}

export interface ConnectOptions {
  /** Path of a kubeconfig file; otherwise KUBECONFIG, the pod's service account, `~/.kube/config`, in this order. */
  kubeconfig?: string;
  context?: string;
  /** In the `User-Agent` header. */
  userAgent?: string;
}
