/** A small API server on loopback for tests: real sockets, scripted misbehaviour. Keeps config maps only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeClient } from '../client.ts';
import { clientOf } from '../connect.ts';
import { directConnection } from '../connection.ts';
import type { ConfigMap } from '../object.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

interface Change {
  type: string;
  version: number;
  object: ConfigMap;
}

export class ApiServer {
  readonly #server: Server;
  readonly #objects = new Map<string, ConfigMap>();
  readonly #history: Change[] = [];
  readonly #watches = new Set<{ response: ServerResponse; send: (change: Change) => void }>();
  readonly #waiting: Array<{ met: () => boolean; resolve: () => void }> = [];
  /** Answers that replace those of the next requests for which `when` holds. */
  readonly #scripted: Array<{ when: (request: IncomingMessage) => boolean; answer: Answer }> = [];
  /** `GET /api/v1/configmaps?limit=…` of every request so far. */
  readonly requests: string[] = [];
  version = 100;
  /** Changes up to this version are forgotten: watches from before get 410. */
  compactedTo = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<ApiServer> {
    const server = createServer();
    const api = new ApiServer(server);
    server.on('request', (request, response) => api.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  client(): KubeClient {
    return clientOf(directConnection(this.url), { firstBackoffMs: 1, maxBackoffMs: 5 });
  }

  /** The next request that `when` accepts is answered by `answer`. */
  next(when: (request: IncomingMessage) => boolean, answer: Answer): void {
    this.#scripted.push({ when, answer });
  }

  put(name: string, value: string): void {
    const known = this.#objects.has(name);
    const object: ConfigMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default', resourceVersion: String(++this.version) },
      data: { value },
    };
    this.#objects.set(name, object);
    this.#record({ type: known ? 'MODIFIED' : 'ADDED', version: this.version, object });
  }

  remove(name: string): void {
    const object = structuredClone(this.#objects.get(name));
    if (!object?.metadata) throw new Error(`no config map ${name}`);
    this.#objects.delete(name);
    object.metadata.resourceVersion = String(++this.version);
    this.#record({ type: 'DELETED', version: this.version, object });
  }

  bookmark(): void {
    const object: ConfigMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { resourceVersion: String(++this.version) },
    };
    for (const watch of this.#watches) watch.send({ type: 'BOOKMARK', version: this.version, object });
  }

  /** Cuts the connection of every watch, as a dying load balancer does. */
  dropWatches(): void {
    for (const { response } of this.#watches) response.socket?.destroy();
    this.#watches.clear();
  }

  /** Writes raw bytes into every watch. */
  writeToWatches(bytes: string): void {
    for (const { response } of this.#watches) response.write(bytes);
  }

  /** Resolves as soon as `met` holds; looked at after each request. */
  until(met: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ met, resolve });
      this.#settle();
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #settle(): void {
    for (const each of [...this.#waiting])
      if (each.met()) {
        this.#waiting.splice(this.#waiting.indexOf(each), 1);
        each.resolve();
      }
  }

  #record(change: Change): void {
    this.#history.push(change);
    for (const watch of this.#watches) watch.send(change);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    const scripted = this.#scripted.findIndex((each) => each.when(request));
    if (scripted >= 0) this.#scripted.splice(scripted, 1)[0].answer(request, response);
    else if (isWatch(request)) this.#watch(request, response);
    else this.#list(request, response);
    this.#settle();
  }

  #list(request: IncomingMessage, response: ServerResponse): void {
    const query = new URL(request.url ?? '/', this.url).searchParams;
    const all = [...this.#objects.values()];
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? all.length);
    const more = from + limit < all.length ? String(from + limit) : undefined;
    sendJson(response, 200, {
      metadata: { resourceVersion: String(this.version), continue: more },
      items: all.slice(from, from + limit),
    });
  }

  #watch(request: IncomingMessage, response: ServerResponse): void {
    const from = Number(new URL(request.url ?? '/', this.url).searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    const send = (change: Change) =>
      response.write(`${JSON.stringify({ type: change.type, object: change.object })}\n`);
    if (from < this.compactedTo) {
      response.end(
        `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } })}\n`,
      );
      return;
    }
    response.flushHeaders();
    for (const change of this.#history) if (change.version > from) send(change);
    const watch = { response, send };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: { [name: string]: string } = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export const isWatch = (request: IncomingMessage): boolean => request.url?.includes('watch=1') ?? false;
export const isList = (request: IncomingMessage): boolean => request.method === 'GET' && !isWatch(request);
