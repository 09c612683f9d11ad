/**
 * A small API server on loopback that keeps objects of any kind: get, list, watch, create, update, apply, patch, delete,
 * with finalizers, generations and selectors by label. Apply merges like a merge patch, which suffices for objects that one
 * manager writes; nothing is validated and nothing is defaulted.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeClient } from '../client.ts';
import { clientOf } from '../connect.ts';
import { directConnection } from '../connection.ts';
import type { ApiObject, Metadata } from '../object.ts';
import { sendJson } from './api-server.ts';

interface Stored extends ApiObject {
  metadata: Metadata & { managedFields?: Array<{ manager: string }> };
  spec?: unknown;
  status?: unknown;
}

interface Refusal {
  kind: 'Status';
  code: number;
  reason: string;
  message: string;
}

const notFound: Refusal = { kind: 'Status', code: 404, reason: 'NotFound', message: 'not found' };

interface Place {
  apiVersion: string;
  plural: string;
  namespace: string | null;
  name: string | null;
  isStatus: boolean;
}

interface Watch {
  place: Place;
  selector: string | null;
  response: ServerResponse;
}

export class ObjectServer {
  readonly #server: Server;
  /** By `apiVersion/plural/namespace/name`. */
  readonly #objects = new Map<string, Stored>();
  readonly #watches = new Set<Watch>();
  #version = 1;
  /** Every request that may change something: `PATCH /apis/…`. */
  readonly writes: string[] = [];
  readonly #settled: Array<{ met: () => boolean; resolve: () => void }> = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<ObjectServer> {
    const server = createServer();
    const api = new ObjectServer(server);
    server.on('request', (request, response) => void api.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  client(): KubeClient {
    return clientOf(directConnection(this.url), { firstBackoffMs: 1, maxBackoffMs: 5 });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Objects of a kind. */
  all(kind: string): Stored[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind);
  }

  find(kind: string, name: string): Stored | undefined {
    return this.all(kind).find(({ metadata }) => metadata.name === name);
  }

  /** Changes an object as a controller or a user would. */
  change(kind: string, name: string, change: (object: Stored) => void): void {
    for (const [key, object] of this.#objects)
      if (object.kind === kind && object.metadata.name === name) {
        const next = structuredClone(object);
        change(next);
        this.#store(key, next, object);
      }
  }

  /** Resolves as soon as `met` holds; looked at after each request and change. */
  until(met: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#settled.push({ met, resolve });
      this.#settle();
    });
  }

  #settle(): void {
    for (const each of [...this.#settled])
      if (each.met()) {
        this.#settled.splice(this.#settled.indexOf(each), 1);
        each.resolve();
      }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as Stored) : null;
    const method = request.method ?? 'GET';
    if (method !== 'GET') this.writes.push(`${method} ${url.pathname}`);
    if (url.pathname === '/apis' || /^\/api(s\/[^/]+)?\/[^/]+$/.test(url.pathname)) {
      sendJson(response, 200, this.#discovery(url.pathname));
      return;
    }
    const place = placeOf(url.pathname);
    if (url.searchParams.has('watch')) this.#watch(place, url, response);
    else if (place.name === null && method === 'GET') this.#list(place, url, response);
    else {
      const answer = this.#answer(method, place, body, url);
      sendJson(response, answer.kind === 'Status' ? (answer as Refusal).code : 200, answer);
    }
    this.#settle();
  }

  #discovery(path: string): object {
    const kinds = new Map<string, { name: string; kind: string; namespaced: boolean; verbs: string[] }>();
    const groups = new Set<string>();
    for (const [key, { apiVersion, kind, metadata }] of this.#objects) {
      if (apiVersion.includes('/')) groups.add(apiVersion);
      const prefix = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
      const name = key.slice(apiVersion.length + 1).split('/')[0];
      if (prefix === path)
        kinds.set(kind, { name, kind, namespaced: metadata.namespace !== undefined, verbs: ['list', 'delete'] });
    }
    if (path === '/apis')
      return { groups: [...groups].map((groupVersion) => ({ preferredVersion: { groupVersion } })) };
    return { groupVersion: path.replace(/^\/apis?\//, ''), resources: [...kinds.values()] };
  }

  #answer(method: string, place: Place, body: Stored | null, url: URL): Stored | Refusal {
    if (method === 'GET') return this.#objects.get(keyOf(place)) ?? notFound;
    if (method === 'DELETE') return this.#delete(place);
    if (!body) return notFound;
    if (method === 'POST') {
      const made = { ...place, name: body.metadata.name ?? '' };
      if (this.#objects.has(keyOf(made)))
        return {
          kind: 'Status',
          code: 409,
          reason: 'AlreadyExists',
          message: `${made.plural} "${made.name}" already exists`,
        };
      return this.#write(made, body, false, url);
    }
    return this.#write(place, body, method === 'PATCH', url);
  }

  #selected(place: Place, selector: string | null): Stored[] {
    return [...this.#objects]
      .filter(([key, object]) => isIn(place, key, object) && hasLabels(object, selector))
      .map(([, object]) => object);
  }

  #list(place: Place, url: URL, response: ServerResponse): void {
    let items = this.#selected(place, url.searchParams.get('labelSelector'));
    const field = /^metadata\.name=(.*)$/.exec(url.searchParams.get('fieldSelector') ?? '');
    if (field) items = items.filter(({ metadata }) => metadata.name === field[1]);
    sendJson(response, 200, { metadata: { resourceVersion: String(this.#version) }, items });
  }

  #watch(place: Place, url: URL, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { place, selector: url.searchParams.get('labelSelector'), response };
    // What changed between the list and this watch is told again; an informer knows it by its version.
    for (const object of this.#selected(place, watch.selector))
      response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }

  #write(place: Place, body: Stored, isPatch: boolean, url: URL): Stored | Refusal {
    const key = keyOf(place);
    const known = this.#objects.get(key);
    const manager = url.searchParams.get('fieldManager');
    const isApply = isPatch && manager !== null;
    if (!known && isPatch && !isApply) return notFound;
    const asked = body.metadata?.resourceVersion;
    if (known && asked && asked !== known.metadata.resourceVersion)
      return { kind: 'Status', code: 409, reason: 'Conflict', message: 'the object has been modified' };
    const given = structuredClone(body);
    if (given.metadata) delete given.metadata.resourceVersion;
    const base: Stored = known
      ? structuredClone(known)
      : {
          apiVersion: body.apiVersion,
          kind: body.kind,
          metadata: { uid: `uid-${this.#version}`, generation: 0, creationTimestamp: '2026-01-01T00:00:00Z' },
        };
    let next: Stored;
    if (place.isStatus) next = { ...base, status: (merge(base.status ?? {}, given.status) as object) ?? {} };
    else if (isPatch) next = merge(base, given) as Stored;
    else next = { ...given, metadata: { ...base.metadata, ...given.metadata } };
    if (manager) {
      const managers = next.metadata.managedFields ?? [];
      if (!managers.some((each) => each.manager === manager)) next.metadata.managedFields = [...managers, { manager }];
    }
    if (known && JSON.stringify(known) === JSON.stringify(next)) return known;
    this.#store(key, next, known);
    return next;
  }

  #store(key: string, next: Stored, known: Stored | undefined): void {
    next.metadata.resourceVersion = String(++this.#version);
    if (JSON.stringify(next.spec) !== JSON.stringify(known?.spec))
      next.metadata.generation = (next.metadata.generation ?? 0) + 1;
    if (next.metadata.deletionTimestamp && (next.metadata.finalizers ?? []).length === 0) {
      this.#objects.delete(key);
      this.#tell(key, 'DELETED', next, known);
    } else {
      this.#objects.set(key, next);
      this.#tell(key, known ? 'MODIFIED' : 'ADDED', next, known);
    }
    this.#settle();
  }

  #delete(place: Place): Stored | Refusal {
    const key = keyOf(place);
    const object = this.#objects.get(key);
    if (!object) return notFound;
    const next = structuredClone(object);
    next.metadata.deletionTimestamp ??= '2026-01-01T00:00:01Z';
    this.#store(key, next, object);
    // What is in a namespace goes with it.
    if (object.kind === 'Namespace')
      for (const [inner, { metadata }] of [...this.#objects])
        if (metadata.namespace === object.metadata.name) this.#objects.delete(inner);
    return next;
  }

  #tell(key: string, type: string, object: Stored, before: Stored | undefined): void {
    for (const { place, selector, response } of this.#watches) {
      if (!isIn(place, key, object)) continue;
      const now = type !== 'DELETED' && hasLabels(object, selector);
      const then = before !== undefined && hasLabels(before, selector);
      // As the real one: leaving the selection is told as a deletion.
      const told = now ? (then ? 'MODIFIED' : 'ADDED') : then ? 'DELETED' : null;
      if (told) response.write(`${JSON.stringify({ type: told, object })}\n`);
    }
  }
}

function placeOf(path: string): Place {
  const match =
    /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+)(?=\/[^/]))?\/([^/]+)(?:\/([^/]+))?(\/status)?$/.exec(
      path,
    );
  if (!match) throw new Error(`no such path: ${path}`);
  const [, group, version, namespace = null, plural, name = null, status] = match;
  return {
    apiVersion: group ? `${group}/${version}` : version,
    plural,
    namespace,
    name,
    isStatus: status !== undefined,
  };
}

function keyOf({ apiVersion, plural, namespace, name }: Place): string {
  return `${apiVersion}/${plural}/${namespace ?? ''}/${name}`;
}

function isIn(place: Place, key: string, { metadata }: Stored): boolean {
  const isKind = key.startsWith(`${place.apiVersion}/${place.plural}/`);
  return isKind && (place.namespace === null || metadata.namespace === place.namespace);
}

/** `key` or `key=value`, joined by commas. */
function hasLabels({ metadata }: Stored, selector: string | null): boolean {
  if (!selector) return true;
  return selector.split(',').every((part) => {
    const [key, value] = part.split('=');
    const found = metadata.labels?.[key];
    return value === undefined ? found !== undefined : found === value;
  });
}

/** JSON merge patch (RFC 7386). */
function merge(base: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: { [key: string]: unknown } =
    typeof base === 'object' && base !== null && !Array.isArray(base) ? { ...base } : {};
  for (const [key, value] of Object.entries(patch))
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  return result;
}
