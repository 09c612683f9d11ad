/**
 * The aggregated discovery service: one connection a proxy.
 *
 *   stream ─► authenticate ─► first request: node ─► its identity fits? ─► known to the mesh? ─► session ◄─ push queue ◄─ change
 */
import { adsMethods } from '../../xds/ads-stream.ts';
import type { CallReceiver, GrpcMethod, ServerCall } from '../../xds/grpc/server.ts';
import { GrpcError } from '../../xds/grpc/status.ts';
import type { XdsType } from '../../xds/type-urls.ts';
import type { Authenticate } from '../ca/caller.ts';
import type { Identity } from '../ca/identity.ts';
import { DeltaSession } from './delta-session.ts';
import type { Metrics } from './metrics.ts';
import { checkIdentity, type ProxyNode, proxyOf } from './proxy-node.ts';
import { PushQueue } from './push-queue.ts';
import type { ResourceSet } from './resources.ts';
import type { Lacking, Nack, Session, SessionOptions, TypeStatus } from './session.ts';
import { SotwSession } from './sotw-session.ts';

export interface DiscoveryOptions {
  /** Shown to proxies as the control plane's name. */
  identifier: string;
  /** What a proxy is to have now. Null while the mesh does not know its workload; with `anyway` it must answer. */
  resourcesFor(proxy: ProxyNode, anyway: boolean): ResourceSet | null;
  metrics: Metrics;
  onConnection?(proxy: ProxyNode, event: 'connected' | 'disconnected' | 'refused', detail: string): void;
  onNack?(proxy: ProxyNode, nack: Nack): void;
  onError?(error: Error): void;
  /** How long a proxy whose workload is unknown waits for it to appear; 1 s unless told. */
  unknownWaitMs?: number;
  /** A client that lets more than this pile up is dropped; 64 MiB unless told. */
  maxQueuedBytes?: number;
  /** Pushes to a client wait while more than this is under way; 1 MiB unless told. */
  busyBytes?: number;
  maxConnections?: number;
}

/** A proxy and how far it has followed. */
export interface ConnectionStatus {
  proxy: ProxyNode;
  identity: Identity | null;
  /** Milliseconds since 1970. */
  connectedAtMs: number;
  protocol: 'delta' | 'sotw';
  types: Partial<Record<XdsType, TypeStatus>>;
}

/** A proxy that does not run all that it should. */
export interface Laggard {
  proxy: ProxyNode;
  lacking: readonly Lacking[];
  /** Its configuration cannot be made or it reads too slowly; `sinceMs` of `performance.now()`. What changed after `version` it was not sent. */
  unsent: { version: number; sinceMs: number } | null;
}

interface Connection {
  call: ServerCall;
  proxy: ProxyNode;
  identity: Identity | null;
  session: Session;
  protocol: 'delta' | 'sotw';
  connectedAtMs: number;
  isDraining: boolean;
  /** True once it was given any state. */
  isServed: boolean;
  giveUpWaiting: NodeJS.Timeout | null;
  /** The version of what it was given last. */
  version: number;
  unsentSinceMs: number | null;
}

const shortNames: Record<XdsType, string> = {
  cluster: 'cds',
  endpoint: 'eds',
  listener: 'lds',
  route: 'rds',
  secret: 'sds',
  nameTable: 'nds',
};
/** A client that does not read for so long while something waits for it is dropped. */
const maxDrainMs = 60_000;
const secondsBounds = [0.1, 0.5, 1, 3, 5, 10, 20, 30];

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #connections = new Set<Connection>();
  readonly #followers = new Set<() => void>();
  readonly #queue: PushQueue<Connection>;
  readonly #pushes;
  readonly #rejects;
  readonly #convergence;
  readonly #internalErrors;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#queue = new PushQueue((connection, changedAtMs) => this.#serve(connection, changedAtMs, false));
    const { metrics } = options;
    metrics.gauge('pilot_xds', 'Proxies connected to this control plane.', () => this.#connections.size);
    metrics.gauge('pilot_push_queue_length', 'Proxies that wait for a push.', () => this.#queue.length);
    this.#pushes = metrics.counter('pilot_xds_pushes', 'Responses sent, by type.');
    this.#rejects = metrics.counter('pilot_total_xds_rejects', 'Responses that proxies refused.');
    this.#internalErrors = metrics.counter('pilot_total_xds_internal_errors', 'Pushes that failed within.');
    this.#convergence = metrics.histogram(
      'pilot_proxy_convergence_time',
      'Seconds from a change to its having been sent to a proxy.',
      secondsBounds,
    );
  }

  /** For a server; null as `authenticate` lets everyone in: for loopback only. */
  methods(authenticate: Authenticate | null): { [path: string]: GrpcMethod } {
    return {
      [adsMethods.delta]: (call) => this.#accept(call, 'delta', authenticate),
      [adsMethods.sotw]: (call) => this.#accept(call, 'sotw', authenticate),
    };
  }

  /** The mesh changed at `changedAtMs` (of `performance.now()`): every proxy is looked at again. */
  push(changedAtMs: number): void {
    for (const connection of this.#connections) this.#queue.add(connection, changedAtMs);
  }

  get connections(): ConnectionStatus[] {
    return Array.from(this.#connections, ({ proxy, identity, connectedAtMs, protocol, session }) => ({
      proxy,
      identity,
      connectedAtMs,
      protocol,
      types: session.status(),
    }));
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  get laggards(): Laggard[] {
    const found: Laggard[] = [];
    for (const { proxy, session, version, unsentSinceMs } of this.#connections) {
      const lacking = session.lacking();
      const unsent = unsentSinceMs === null ? null : { version, sinceMs: unsentSinceMs };
      if (lacking.length > 0 || unsent) found.push({ proxy, lacking, unsent });
    }
    return found;
  }

  /** Calls `listener` when a proxy has taken or refused something or has gone, until the returned function is called. */
  onProgress(listener: () => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  #progress(): void {
    for (const follower of this.#followers) follower();
  }

  /** Ends every stream so that the proxies go to another replica. */
  close(): void {
    for (const { call } of this.#connections) call.end(new GrpcError('unavailable', 'the control plane is going away'));
  }

  async #accept(
    call: ServerCall,
    protocol: 'delta' | 'sotw',
    authenticate: Authenticate | null,
  ): Promise<CallReceiver> {
    const { maxConnections = 5_000 } = this.#options;
    const identity = authenticate ? await authenticate(call) : null;
    if (this.#connections.size >= maxConnections)
      throw new GrpcError('resourceExhausted', `more than ${maxConnections} proxies; try another replica`);
    let connection: Connection | null = null;
    const session = this.#session(protocol, call, () => connection);
    return {
      onMessage: (message) => {
        session.receive(message);
        connection ??= this.#connect(call, session, protocol, identity);
      },
      onEnd: () => call.end(null),
    };
  }

  #session(protocol: 'delta' | 'sotw', call: ServerCall, connection: () => Connection | null): Session {
    const options: SessionOptions = {
      identifier: this.#options.identifier,
      send: (message, type) => {
        this.#pushes.add({ type: shortNames[type] });
        call.send(message);
      },
      onAck: () => this.#progress(),
      onNack: (nack) => {
        this.#progress();
        this.#rejects.add({ type: shortNames[nack.type] });
        const from = connection();
        if (from) this.#options.onNack?.(from.proxy, nack);
      },
    };
    return protocol === 'delta' ? new DeltaSession(options) : new SotwSession(options);
  }

  #connect(call: ServerCall, session: Session, protocol: 'delta' | 'sotw', identity: Identity | null): Connection {
    const { onConnection, unknownWaitMs = 1_000 } = this.#options;
    const proxy = proxyOf(session.node!);
    if (identity) {
      try {
        checkIdentity(proxy, identity);
      } catch (error) {
        onConnection?.(proxy, 'refused', (error as Error).message);
        throw error;
      }
    }
    const connection: Connection = {
      call,
      proxy,
      identity,
      session,
      protocol,
      connectedAtMs: Date.now(),
      isDraining: false,
      isServed: false,
      giveUpWaiting: null,
      version: 0,
      unsentSinceMs: null,
    };
    this.#connections.add(connection);
    onConnection?.(proxy, 'connected', call.remote);
    const leave = () => {
      if (connection.giveUpWaiting) clearTimeout(connection.giveUpWaiting);
      this.#connections.delete(connection);
      this.#queue.remove(connection);
      this.#progress();
      onConnection?.(proxy, 'disconnected', call.remote);
    };
    if (call.signal.aborted) leave();
    else {
      call.signal.addEventListener('abort', leave, { once: true });
      // The pod may be newer than what the informers have told: its first configuration would be of no workload.
      connection.giveUpWaiting = setTimeout(
        () => this.#serve(connection, performance.now(), true),
        unknownWaitMs,
      ).unref();
      this.#serve(connection, performance.now(), false);
    }
    return connection;
  }

  #serve(connection: Connection, changedAtMs: number, anyway: boolean): void {
    const { call, proxy, session } = connection;
    const { maxQueuedBytes = 64 << 20, busyBytes = 1 << 20 } = this.#options;
    if (call.signal.aborted || connection.isDraining) return;
    if (anyway && connection.isServed) return;
    if (call.queuedBytes > maxQueuedBytes) {
      call.end(new GrpcError('resourceExhausted', 'the proxy reads too slowly'));
      return;
    }
    if (call.queuedBytes > busyBytes) {
      connection.isDraining = true;
      connection.unsentSinceMs ??= performance.now();
      const stalled = setTimeout(
        () => call.end(new GrpcError('resourceExhausted', 'the proxy reads too slowly')),
        maxDrainMs,
      );
      void call.drained(busyBytes).then(() => {
        clearTimeout(stalled);
        connection.isDraining = false;
        this.#queue.add(connection, changedAtMs);
      });
      return;
    }
    try {
      const set = this.#options.resourcesFor(proxy, anyway || connection.isServed);
      if (!set) return;
      if (connection.giveUpWaiting) clearTimeout(connection.giveUpWaiting);
      connection.giveUpWaiting = null;
      connection.isServed = true;
      session.update(set);
      connection.version = Number(set.version);
      connection.unsentSinceMs = null;
      this.#convergence.observe((performance.now() - changedAtMs) / 1000);
    } catch (error) {
      // One proxy's configuration that cannot be made leaves that proxy as it is, and no other.
      connection.unsentSinceMs ??= performance.now();
      this.#internalErrors.add();
      this.#options.onError?.(error as Error);
    }
  }
}
