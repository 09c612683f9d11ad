/** `connect()`: the one way to a `KubeClient`. */
import type { IncomingMessage } from 'node:http';
import type {
  ApplyOptions,
  CallOptions,
  ConnectOptions,
  DeleteOptions,
  KubeClient,
  Listing,
  Selection,
  TokenReviewResult,
  WatchEvent,
} from './client.ts';
import { systemClock } from './clock.ts';
import { type Connection, openConnection } from './connection.ts';
import { ApiError, isNotFound } from './error.ts';
import { type Exchange, fetchText, type HttpSettings, open } from './http.ts';
import type { ApiObject, Resource } from './object.ts';

/** Finds the API server (see `ConnectOptions`). Nothing is sent yet. */
export async function connect(options: ConnectOptions = {}): Promise<KubeClient> {
  return clientOf(await openConnection(options), { userAgent: options.userAgent ?? 'lateen' });
}

const defaultTimeoutMs = 30_000;
const defaultPageSize = 500;
/** Far more than etcd lets an object have. */
const maxEventBytes = 16 << 20;

/** A client over a connection of one's own. */
export function clientOf(connection: Connection, overrides: Partial<HttpSettings> = {}): KubeClient {
  const settings: HttpSettings = {
    clock: systemClock,
    userAgent: 'lateen',
    attempts: 5,
    firstBackoffMs: 100,
    maxBackoffMs: 5_000,
    ...overrides,
  };

  async function text(exchange: Omit<Exchange, 'timeoutMs'>, options: CallOptions = {}): Promise<string> {
    return fetchText(connection, settings, {
      ...exchange,
      signal: options.signal,
      timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
    });
  }

  async function json<T>(exchange: Omit<Exchange, 'timeoutMs'>, options?: CallOptions): Promise<T> {
    return JSON.parse(await text(exchange, options)) as T;
  }

  async function* pages<T extends ApiObject>(
    of: Resource<T>,
    selection: Selection & CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<Listing<T>> {
    let token: string | undefined;
    do {
      const query = { ...selectionQuery(selection), limit: selection.pageSize ?? defaultPageSize, continue: token };
      const page = await json<{ metadata: { resourceVersion: string; continue?: string }; items: T[] | null }>(
        { method: 'GET', path: pathOf(of, selection.namespace) + queryOf(query), repeatable: true },
        selection,
      );
      const items = page.items ?? [];
      for (const item of items) {
        item.apiVersion ??= of.apiVersion;
        item.kind ??= of.kind;
      }
      token = page.metadata.continue || undefined;
      yield { items, resourceVersion: page.metadata.resourceVersion };
    } while (token);
  }

  return {
    server: connection.server.href,
    namespace: connection.namespace,
    pages,
    close: () => connection.close(),

    async get<T extends ApiObject>(of: Resource<T>, name: string, namespace?: string, options?: CallOptions) {
      try {
        return await json<T>({ method: 'GET', path: pathOf(of, namespace, name), repeatable: true }, options);
      } catch (error) {
        if (isNotFound(error)) return null;
        throw error;
      }
    },

    async list<T extends ApiObject>(of: Resource<T>, selection: Selection & CallOptions = {}) {
      const items: T[] = [];
      let resourceVersion = '';
      for await (const page of pages(of, selection)) {
        for (const item of page.items) items.push(item);
        resourceVersion = page.resourceVersion;
      }
      return { items, resourceVersion };
    },

    async *watch<T extends ApiObject>(
      of: Resource<T>,
      selection: Selection & { resourceVersion: string; timeoutSeconds: number; stallMs: number; signal: AbortSignal },
    ): AsyncGenerator<WatchEvent<T>> {
      const { resourceVersion, timeoutSeconds, stallMs, signal } = selection;
      const query = {
        ...selectionQuery(selection),
        watch: 1,
        allowWatchBookmarks: true,
        resourceVersion,
        timeoutSeconds,
      };
      const path = pathOf(of, selection.namespace) + queryOf(query);
      // One try: whoever watches has a back-off of its own and may have to list again first.
      const response = await open(
        connection,
        { ...settings, attempts: 1 },
        { method: 'GET', path, repeatable: true, signal, timeoutMs: stallMs },
      );
      const what = `WATCH ${path.split('?')[0]}`;
      try {
        for await (const line of linesOf(response, what)) {
          const event = JSON.parse(line) as
            | WatchEvent<T>
            | { type: 'ERROR'; object: { code?: number; reason?: string; message?: string } };
          if (event.type === 'ERROR') {
            const { code = 500, reason = 'Unknown', message = 'the watch failed' } = event.object;
            throw new ApiError(what, code, reason, message);
          }
          yield event;
        }
      } finally {
        response.destroy();
      }
    },

    create<T extends ApiObject>(
      of: Resource<T>,
      object: T,
      options: CallOptions & { fieldManager?: string; dryRun?: boolean } = {},
    ) {
      const query = { fieldManager: options.fieldManager, dryRun: options.dryRun ? 'All' : undefined };
      return json<T>(
        {
          method: 'POST',
          path: pathOf(of, object.metadata?.namespace) + queryOf(query),
          body: object,
          repeatable: false,
        },
        options,
      );
    },

    update<T extends ApiObject>(of: Resource<T>, object: T, options: CallOptions & { fieldManager?: string } = {}) {
      const path =
        pathOf(of, object.metadata?.namespace, nameOf(object)) + queryOf({ fieldManager: options.fieldManager });
      return json<T>({ method: 'PUT', path, body: object, repeatable: true }, options);
    },

    apply<T extends ApiObject>(of: Resource<T>, object: T, options: ApplyOptions) {
      const { fieldManager, force = true, dryRun = false } = options;
      const query = queryOf({ fieldManager, force: force || undefined, dryRun: dryRun ? 'All' : undefined });
      // JSON is YAML; the media type is the one that every version with server-side apply accepts.
      return json<T>(
        {
          method: 'PATCH',
          path: pathOf(of, object.metadata?.namespace, nameOf(object)) + query,
          contentType: 'application/apply-patch+yaml',
          body: object,
          repeatable: true,
        },
        options,
      );
    },

    patch<T extends ApiObject>(
      of: Resource<T>,
      name: string,
      namespace: string | undefined,
      patch: object | object[],
      options: CallOptions & { subresource?: 'status'; fieldManager?: string } = {},
    ) {
      const isList = Array.isArray(patch);
      const below = options.subresource ? `/${options.subresource}` : '';
      return json<T>(
        {
          method: 'PATCH',
          path: pathOf(of, namespace, name) + below + queryOf({ fieldManager: options.fieldManager }),
          contentType: isList ? 'application/json-patch+json' : 'application/merge-patch+json',
          body: patch,
          repeatable: !isList,
        },
        options,
      );
    },

    patchStatus<T extends ApiObject>(
      of: Resource<T>,
      name: string,
      namespace: string | undefined,
      status: object,
      options: CallOptions = {},
    ) {
      return json<T>(
        {
          method: 'PATCH',
          path: `${pathOf(of, namespace, name)}/status`,
          contentType: 'application/merge-patch+json',
          body: { status },
          repeatable: true,
        },
        options,
      );
    },

    async delete(of: Resource, name: string, namespace?: string, options: DeleteOptions = {}) {
      const { propagation, uid, resourceVersion, gracePeriodSeconds } = options;
      const preconditions = uid || resourceVersion ? { uid, resourceVersion } : undefined;
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: propagation,
        preconditions,
        gracePeriodSeconds,
      };
      try {
        await text({ method: 'DELETE', path: pathOf(of, namespace, name), body, repeatable: true }, options);
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        throw error;
      }
    },

    async requestToken(serviceAccount, namespace, audience, expirationSeconds, options) {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(serviceAccount)}/token`;
      const body = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [audience], expirationSeconds },
      };
      const answer = await json<{ status: { token: string } }>(
        { method: 'POST', path, body, repeatable: true },
        options,
      );
      return answer.status.token;
    },

    async reviewToken(token, audiences, options): Promise<TokenReviewResult> {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
      interface Review {
        status?: {
          authenticated?: boolean;
          user?: { username?: string; groups?: string[]; extra?: { [key: string]: string[] } };
          audiences?: string[];
          error?: string;
        };
      }
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const { status = {} } = await json<Review>({ method: 'POST', path, body, repeatable: true }, options);
      return {
        authenticated: status.authenticated === true,
        username: status.user?.username,
        groups: status.user?.groups ?? [],
        audiences: status.audiences ?? [],
        extra: status.user?.extra ?? {},
        error: status.error,
      };
    },

    getFromPod(pod, namespace, port, path, options) {
      const prefix = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}:${port}/proxy`;
      return text(
        { method: 'GET', path: prefix + (path.startsWith('/') ? path : `/${path}`), accept: '*/*', repeatable: true },
        options,
      );
    },

    async askInPod(pod, namespace, port, path, { method = 'GET', timeoutMs = defaultTimeoutMs, signal } = {}) {
      // Few verbs ask for it, and nothing that runs in a pod.
      const { askThroughForward } = await import('./forward.ts');
      return askThroughForward(connection, { pod, namespace, port, path, method, timeoutMs, signal });
    },

    getRaw(path, options) {
      return text({ method: 'GET', path, accept: '*/*', repeatable: true }, options);
    },
  };
}

function nameOf(object: ApiObject): string {
  const name = object.metadata?.name;
  if (!name) throw new Error(`${object.kind}: metadata.name is missing`);
  return name;
}

/** URL path of a collection, or of one object with `name`. Without a namespace it spans all of them. */
export function pathOf(of: Resource, namespace?: string, name?: string): string {
  if (name !== undefined && of.namespaced && !namespace)
    throw new Error(`${of.kind} ${name}: its namespace is missing`);
  const root = of.apiVersion.includes('/') ? `/apis/${of.apiVersion}` : `/api/${of.apiVersion}`;
  const scope = of.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${of.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

function selectionQuery(selection: Selection): { labelSelector?: string; fieldSelector?: string } {
  return { labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector };
}

function queryOf(parts: { [name: string]: string | number | boolean | undefined }): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parts)) if (value !== undefined) query.set(name, String(value));
  return query.size === 0 ? '' : `?${query}`;
}

/** One JSON document a line, as a watch sends them. An answer cut within a line ends with an error. */
async function* linesOf(response: IncomingMessage, what: string): AsyncGenerator<string> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      held.push(chunk.subarray(start, end));
      const line = held.length === 1 ? held[0] : Buffer.concat(held);
      held = [];
      heldBytes = 0;
      start = end + 1;
      if (line.length > 0) yield line.toString('utf8');
    }
    if (start < chunk.length) {
      held.push(chunk.subarray(start));
      heldBytes += chunk.length - start;
      if (heldBytes > maxEventBytes)
        throw new ApiError(what, 0, 'TooLong', `one event is longer than ${maxEventBytes} bytes`);
    }
  }
  if (heldBytes > 0) throw new ApiError(what, 0, 'ConnectionLost', 'the stream ended within an event');
}
