import { lstatSync, unlinkSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { runtimeValues } from '../config/runtime-values.ts';
import type { FilterChain, Gate, HttpManager, Listener, PortRange, Table } from '../config/table.ts';
import { authorize } from '../http/authorize.ts';
import { HttpConnection } from '../http/http-connection.ts';
import { Http1Downstream } from '../http/http1-downstream.ts';
import { Http2Downstream } from '../http/http2-downstream.ts';
import type { Plane } from '../http/plane.ts';
import { chooseWeighted } from '../http/weighted.ts';
import { type ListenerCounters, SslCounters } from '../telemetry/counters.ts';
import { type ChainFacts, matchChain } from './chain-match.ts';
import { type Address, type Addresses, unmapped } from './connection.ts';
import { connectionFacts, factsWithoutRequest } from './connection-facts.ts';
import { type ClientHello, type Detected, detect, maxDetectBytes } from './detect.ts';
import { leaveGate, passGate } from './gate.ts';
import { handedTo } from './hand-over.ts';
import type { Place } from './interception.ts';
import { originalDestination } from './original-dst.ts';
import { output } from './output.ts';
import { taken } from './overload.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import { TcpRelay } from './tcp-proxy.ts';
import { type Terminated, terminateTls } from './tls-server.ts';
import { Transport } from './transport.ts';

/** What the listeners of one thread share. */
export interface Acceptor {
  readonly plane: Plane;
  readonly maxConnections: number;
  readonly counters: ConnectionCounters;
  /** Connections that are swept about once a second. */
  readonly swept: Set<Accepted>;
  readonly shared: SharedPorts | null;
  /** How long a connection stays whose filter chain is gone, milliseconds. */
  readonly drainMs: number;
}

/** What the threads that serve the same ports know of each other. */
export interface SharedPorts {
  /** Of this thread. */
  readonly index: number;
  /** Open connections of each thread. */
  readonly active: Int32Array;
  /** Ports that the system chose for another thread, by place. */
  readonly ports: ReadonlyMap<string, number>;
}

/** Open connections, over all threads. */
export function activeConnections({ shared, counters }: Acceptor): number {
  if (shared === null) return counters.active;
  let sum = 0;
  for (const active of shared.active) sum += active;
  return sum;
}

function countActive({ shared, counters }: Acceptor, change: number): void {
  counters.active += change;
  if (shared !== null) shared.active[shared.index] = counters.active;
}

export interface Sweepable {
  sweep(now: number): void;
}

/** A connection as the runtime sees it. */
export interface Accepted extends Sweepable {
  /** Ends it at once. */
  drop(): void;
  readonly listenerName: string;
  /** The name of its filter chain when that is no longer configured. */
  readonly goneChain: string | null;
}

/** Named outcomes of accepted connections; every refusal is counted. */
export interface ConnectionCounters {
  accepted: number;
  active: number;
  overLimit: number;
  noFilterChain: number;
  detectTimedOut: number;
  tlsFailed: number;
  rbacDenied: number;
  /** Refused by a limit of the listener or of the filter chain. */
  gateClosed: number;
  proxyProtocolFound: number;
  /** No header where there must be one, a malformed one, or one of a version that is not taken. */
  proxyProtocolRefused: number;
  /** The latest reason of each kind, for the admin pages. */
  lastTlsFailure: string;
}

const emptyBytes = Buffer.alloc(0);
const portWithin = (ranges: readonly PortRange[], port: number): boolean =>
  ranges.some((range) => port >= range.from && port < range.to);

/** A socket that an earlier process left behind would keep its path from being bound; Envoy removes it too. */
function removeStaleSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
}

/** Of ports that are shared the kernel may choose one that another process of this user shares already; of others it does not. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ host, port: 0 }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

/** How long a caller may take to read a fixed answer. */
const answerMs = 5000;

const silent = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** A bound listener. A push that changes it swaps its configuration; connections keep what they were accepted under. */
export class BoundListener {
  config: Listener;
  readonly place: Place;
  private readonly acceptor: Acceptor;
  private readonly server: Server;
  readonly counters: ListenerCounters;
  /** Envoy's name of the listener's own limit. */
  private readonly limitKey: string;

  constructor(config: Listener, place: Place, acceptor: Acceptor) {
    this.config = config;
    this.place = place;
    this.acceptor = acceptor;
    this.limitKey = `envoy.resource_limits.listener.${config.name}.connection_limit`;
    this.counters = acceptor.plane.statistics.listener(config);
    this.server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (accepted) =>
      this.accept(accepted),
    );
  }

  /** Resolves with the port. Rejects when the address cannot be bound. */
  async listen(): Promise<number> {
    const { host } = this.place;
    if (host.startsWith('/')) removeStaleSocket(host);
    const reusePort = this.acceptor.shared !== null && !host.startsWith('/');
    const port = reusePort && this.place.port === 0 ? await freePort(host) : this.place.port;
    return new Promise((resolve, reject) => {
      const { server } = this;
      server.once('error', (error) =>
        reject(new Error(`listener ${this.config.name} cannot bind ${host}:${port}: ${error.message}`)),
      );
      const address = host.startsWith('/') ? { path: host } : { host, port };
      server.listen({ ...address, backlog: this.config.backlog, ...(reusePort && { reusePort }) }, () => {
        server.removeAllListeners('error');
        server.on('error', (error) => Transport.onFault(error));
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops accepting; connections stay. */
  close(): void {
    this.server.close();
  }

  /** Whether one connection more is too many: for everyone, for this listener, or for what the process can bear. */
  private overLimit(): boolean {
    const { acceptor, config } = this;
    const { overload } = acceptor.plane;
    const limit = Math.min(
      overload.maxConnections,
      runtimeValues.number('overload.global_downstream_max_connections', acceptor.maxConnections),
    );
    const active = activeConnections(acceptor);
    // The process's own limit holds for all: it keeps memory bounded.
    if (active >= acceptor.maxConnections || (active >= limit && !config.ignoresGlobalLimit)) {
      this.counters.downstreamGlobalCxOverflow++;
      return true;
    }
    const own = runtimeValues.number(this.limitKey, Number.POSITIVE_INFINITY);
    if (this.counters.downstreamCxActive >= own) {
      this.counters.downstreamCxOverflow++;
      return true;
    }
    if (!config.bypassesOverload && taken(overload.rejectConnections)) {
      this.counters.downstreamCxOverloadReject++;
      return true;
    }
    return false;
  }

  private accept(accepted: Socket): void {
    const { acceptor } = this;
    const { counters } = acceptor;
    const { config } = this;
    if (this.overLimit()) {
      counters.overLimit++;
      accepted.destroy();
      return;
    }
    if (config.acceptGate !== null && !passGate(config.acceptGate, performance.now())) {
      counters.gateClosed++;
      accepted.destroy();
      return;
    }
    // A socket of one's own over the same handle, since an accepted one cannot be given a read buffer.
    const holder = accepted as unknown as { _handle: { reading: boolean; fd: number } | null };
    const handle = holder._handle;
    if (handle === null) return;
    const { host } = this.place;
    const socketLocal: Address = host.startsWith('/')
      ? { ip: host, port: 0 }
      : { ip: unmapped(accepted.localAddress ?? ''), port: accepted.localPort ?? 0 };
    const socketRemote: Address = { ip: unmapped(accepted.remoteAddress ?? ''), port: accepted.remotePort ?? 0 };
    holder._handle = null;
    handle.reading = false;
    const wantsOriginal =
      config.useOriginalDst ||
      (config.inspect.originalDst && !portWithin(config.originalDstDisabledPorts, socketLocal.port));
    const local = this.place.destination ?? (wantsOriginal ? originalDestination(handle.fd) : null) ?? socketLocal;
    counters.accepted++;
    countActive(acceptor, 1);
    this.counters.downstreamCxTotal++;
    this.counters.downstreamCxActive++;
    const transport = new Transport();
    const listener = handedTo(acceptor.plane.table, config, local, socketLocal);
    const socket = new Socket({
      handle,
      onread: transport.onread(),
      allowHalfOpen: true,
      pauseOnCreate: true,
    } as object);
    transport.attach(socket);
    new Arrival(acceptor, this.counters, listener, transport, {
      remote: socketRemote,
      socketRemote,
      local,
      socketLocal,
    }).begin();
  }
}

/**
 * A connection between accept and the work that its filter chain names.
 *
 *     accepted → PROXY header read → inspected (one timed wait for both) → chain matched → TLS ended → HTTP or relay
 */
class Arrival implements Accepted {
  private readonly acceptor: Acceptor;
  private readonly counters: ListenerCounters;
  private readonly acceptedTick = output.tick;
  private readonly listener: Listener;
  private readonly transport: Transport;
  private addresses: Addresses;
  private kept: Buffer = emptyBytes;
  private keptLength = 0;
  private timer: NodeJS.Timeout | null = null;
  private over = false;
  private settled = false;
  private readonly gates: Gate[] = [];
  private closedGate: Gate | null = null;
  private stage: 'proxyHeader' | 'protocol' = 'protocol';
  private tls = false;
  private http = false;
  private work: Sweepable | null = null;
  /** What it serves, since it is known. */
  private chain: FilterChain | null = null;
  private chainFacts: ChainFacts | null = null;
  private table: Table | null = null;
  private goneSinceTick = -1;

  constructor(
    acceptor: Acceptor,
    counters: ListenerCounters,
    listener: Listener,
    transport: Transport,
    addresses: Addresses,
  ) {
    this.acceptor = acceptor;
    this.counters = counters;
    this.listener = listener;
    this.transport = transport;
    this.addresses = addresses;
  }

  begin(): void {
    const { listener, transport } = this;
    this.acceptor.swept.add(this);
    const { proxyProtocol } = listener;
    const proxied = proxyProtocol !== null && !portWithin(proxyProtocol.disabledPorts, this.addresses.local.port);
    this.stage = proxied ? 'proxyHeader' : 'protocol';
    this.chooseInspection();
    if (!proxied && !this.tls && !this.http) {
      transport.receiver = { ...silent, onClose: () => this.finish() };
      this.settle({ kind: 'unknown' });
      transport.socket.resume();
      return;
    }
    transport.receiver = {
      ...silent,
      onBytes: (bytes, length) => this.inspect(bytes, length),
      onEnd: () => (this.stage === 'proxyHeader' ? transport.destroy() : this.settle({ kind: 'unknown' })),
      onClose: () => {
        if (!this.settled) this.counters.downstreamListenerFilterRemoteClose++;
        this.finish();
      },
    };
    if (listener.inspectTimeoutMs > 0)
      this.timer = setTimeout(() => output.turn(() => this.timedOut()), listener.inspectTimeoutMs);
    transport.socket.resume();
  }

  /** Which inspectors look, by the destination as it is known by now. */
  private chooseInspection(): void {
    const { listener } = this;
    const { port } = this.addresses.local;
    const endsTls = listener.chains.some((chain) => chain.tls !== null) || listener.defaultChain?.tls != null;
    this.tls = (listener.inspect.tls && !portWithin(listener.tlsInspectDisabledPorts, port)) || endsTls;
    this.http = listener.inspect.http && !portWithin(listener.httpInspectDisabledPorts, port);
  }

  private timedOut(): void {
    this.acceptor.counters.detectTimedOut++;
    this.counters.downstreamPreCxTimeout++;
    if (this.listener.continueOnInspectTimeout) this.settle({ kind: 'unknown' });
    else {
      this.settled = true;
      this.transport.destroy();
    }
  }

  private inspect(bytes: Buffer, length: number): void {
    if (this.settled) return;
    const first = this.keptLength === 0;
    if (first) {
      this.kept = bytes;
      this.keptLength = length;
    } else {
      this.kept = Buffer.concat([this.kept.subarray(0, this.keptLength), bytes.subarray(0, length)]);
      this.keptLength = this.kept.length;
    }
    if (this.stage === 'proxyHeader' && !this.takeProxyHeader()) return;
    if (this.stage === 'protocol') {
      const detected: Detected =
        this.tls || this.http ? detect(this.kept, this.keptLength, this.tls, this.http) : { kind: 'unknown' };
      if (detected.kind !== 'undecided') {
        this.settle(detected);
        return;
      }
      if (this.keptLength > maxDetectBytes) {
        this.settle({ kind: 'unknown' });
        return;
      }
    }
    // The read buffer is read into again.
    if (first) this.kept = Buffer.from(this.kept.subarray(0, this.keptLength));
  }

  /** False when the connection was refused. The header's bytes are consumed; the addresses become those that it tells. */
  private takeProxyHeader(): boolean {
    const { acceptor, listener, addresses } = this;
    const rules = listener.proxyProtocol!;
    const header = readProxyHeader(this.kept, this.keptLength);
    if (header.kind === 'undecided') return true;
    const refusedVersion = header.kind === 'header' && (header.version === 1 ? rules.refusesV1 : rules.refusesV2);
    if (header.kind === 'malformed' || refusedVersion || (header.kind === 'absent' && !rules.optional)) {
      acceptor.counters.proxyProtocolRefused++;
      this.counters.downstreamListenerFilterError++;
      this.settled = true;
      this.transport.destroy();
      return false;
    }
    if (header.kind === 'header') {
      acceptor.counters.proxyProtocolFound++;
      this.kept = this.kept.subarray(header.length, this.keptLength);
      this.keptLength = this.kept.length;
      if (header.source !== null) {
        const keepsLocal = rules.yieldsToOriginalDst && addresses.local !== addresses.socketLocal;
        this.addresses = {
          ...addresses,
          remote: header.source,
          local: keepsLocal ? addresses.local : header.destination!,
        };
        this.chooseInspection();
      }
    }
    this.stage = 'protocol';
    return true;
  }

  /** The protocol is known, or will not be. */
  private settle(detected: Detected): void {
    if (this.settled || this.over) return;
    this.settled = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const hello: ClientHello | null = detected.kind === 'tls' ? detected.hello : null;
    const { listener, addresses, acceptor } = this;
    const chainFacts: ChainFacts = {
      destination: addresses.local,
      source: addresses.remote,
      directSource: addresses.socketRemote,
      serverName: hello?.sni ?? '',
      transport: hello === null ? 'raw_buffer' : 'tls',
      protocols:
        hello !== null
          ? hello.alpn
          : detected.kind === 'http1'
            ? [detected.version]
            : detected.kind === 'http2'
              ? ['h2c']
              : [],
    };
    const chain = matchChain(listener, chainFacts);
    if (chain === null) {
      acceptor.counters.noFilterChain++;
      this.counters.noFilterChainMatch++;
      this.transport.reset();
      return;
    }
    const peeked = this.kept.subarray(0, this.keptLength);
    if (chain.tls === null) {
      this.enter(chain, chainFacts, hello, null, this.transport, peeked);
      return;
    }
    if (hello === null) {
      // Bytes that are no ClientHello cannot begin TLS.
      acceptor.counters.tlsFailed++;
      acceptor.counters.lastTlsFailure = 'the connection did not begin with a ClientHello';
      this.ssl.connectionError++;
      this.transport.reset();
      return;
    }
    this.kept = emptyBytes;
    terminateTls(this.transport, peeked, hello, chain.tls, acceptor.plane.secrets, (terminated, reason) => {
      if (terminated === null) {
        acceptor.counters.tlsFailed++;
        acceptor.counters.lastTlsFailure = reason;
        this.ssl.connectionError++;
        this.finish();
        return;
      }
      this.ssl.handshake++;
      if (terminated.peer === null) this.ssl.noCertificate++;
      this.enter(chain, chainFacts, hello, terminated, this.transport, emptyBytes);
    });
  }

  /** Hands the connection to what the chain says. */
  private enter(
    chain: FilterChain,
    chainFacts: ChainFacts,
    hello: ClientHello | null,
    terminated: Terminated | null,
    transport: Transport,
    peeked: Buffer,
  ): void {
    const { acceptor, listener } = this;
    const { plane } = acceptor;
    this.chain = chain;
    this.chainFacts = chainFacts;
    this.table = plane.table;
    const facts = connectionFacts(listener, chain, this.addresses, hello, terminated);
    transport.receiver = { ...silent, onClose: () => this.finish() };
    if (chain.networkRbac.length > 0 && !authorize(chain.networkRbac, factsWithoutRequest(facts), null).allowed) {
      acceptor.counters.rbacDenied++;
      transport.reset();
      return;
    }
    const passed = this.passGates(chain);
    const { closedGate } = this;
    if (!passed && (chain.tcp === null || (closedGate?.kind === 'connections' && closedGate.delayMs > 0))) {
      this.refuseLater(transport, closedGate?.kind === 'connections' ? closedGate.delayMs : 0);
      return;
    }
    if (chain.tcp !== null) {
      const cluster = chooseWeighted(chain.tcp.clusters, chain.tcp.totalWeight);
      const session = new TcpRelay(plane, facts, listener, chain.tcp, transport, () => this.finish());
      this.work = session;
      if (!passed) {
        // The only mark of a rate limit in Envoy's log of a connection is this flag; a limit of connections has none.
        session.refuse(closedGate?.kind === 'rate' ? 'URX' : '');
        return;
      }
      session.start(chain.tcp.clusterBySni && facts.sni !== '' ? facts.sni : (cluster?.cluster ?? ''), peeked);
      return;
    }
    if (chain.answer !== null) {
      this.answer(transport, chain.answer);
      return;
    }
    const manager = chain.http!;
    const begin = (first: Buffer, http2: boolean) => {
      const connection = new HttpConnection(
        plane,
        facts,
        chainFacts,
        listener,
        manager,
        chain.tls?.requireClientCertificate ?? false,
        () => this.finish(),
      );
      this.work = http2 ? new Http2Downstream(connection, transport) : new Http1Downstream(connection, transport);
      if (first.length > 0) transport.receiver.onBytes(first, first.length);
    };
    if (manager.codec === 'http2' || facts.alpn.endsWith('h2')) begin(peeked, true);
    else if (manager.codec === 'http1' || facts.alpn !== '') begin(peeked, false);
    else {
      this.work = { sweep: (now) => this.endSilent(transport, manager, now) };
      this.chooseCodec(transport, peeked, begin);
    }
  }

  /** Whether the chain lets one more connection in. */
  private passGates({ gates }: FilterChain): boolean {
    const now = performance.now();
    for (const gate of gates) {
      if (!passGate(gate, now)) {
        this.acceptor.counters.gateClosed++;
        this.closedGate = gate;
        return false;
      }
      this.gates.push(gate);
    }
    return true;
  }

  /** A delay keeps those that come back at once from costing a connection each time. */
  private refuseLater(transport: Transport, delayMs: number): void {
    if (delayMs === 0) transport.destroy();
    else this.timer = setTimeout(() => transport.destroy(), delayMs);
  }

  /** Writes what is configured, and lets the caller go when it has read it, or soon after. */
  private answer(transport: Transport, bytes: Buffer): void {
    const untilTick = performance.now() + answerMs;
    transport.receiver = { ...silent, onEnd: () => transport.destroy(), onClose: () => this.finish() };
    this.work = { sweep: (now) => now > untilTick && transport.destroy() };
    transport.send(bytes, 0, bytes.length);
    transport.end();
    transport.socket.resume();
  }

  /** Nobody may keep a connection for ever by saying nothing, or next to nothing. */
  private endSilent(transport: Transport, manager: HttpManager, now: number): void {
    const limitMs = transport.bytesRead === 0 ? manager.idleTimeoutMs : manager.streamIdleTimeoutMs;
    if (limitMs <= 0 || now - this.acceptedTick <= limitMs) return;
    this.acceptor.plane.statistics.http(manager).downstreamCxIdleTimeout++;
    transport.destroy();
  }

  /** Without ALPN the first bytes tell: HTTP/2 begins with its preface (RFC 9113 §3.4). */
  private chooseCodec(transport: Transport, peeked: Buffer, begin: (first: Buffer, http2: boolean) => void): void {
    const decide = (bytes: Buffer): boolean => {
      if (bytes.length === 0) return false;
      const detected = detect(bytes, bytes.length, false, true);
      if (detected.kind === 'undecided' && bytes[0] === 80 && bytes.length < 24) return false;
      begin(bytes, detected.kind === 'http2');
      return true;
    };
    if (decide(peeked)) return;
    let gathered = Buffer.from(peeked);
    transport.receiver = {
      ...silent,
      onBytes: (bytes, length) => {
        if (gathered.length === 0 && decide(bytes.subarray(0, length))) return;
        gathered = Buffer.concat([gathered, bytes.subarray(0, length)]);
        decide(gathered);
      },
      onEnd: () => transport.destroy(),
      onClose: () => this.finish(),
    };
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    if (this.timer !== null) clearTimeout(this.timer);
    countActive(this.acceptor, -1);
    this.counters.downstreamCxActive--;
    this.counters.downstreamCxDestroy++;
    this.counters.downstreamCxLengthMs.add(performance.now() - this.acceptedTick);
    this.acceptor.swept.delete(this);
    this.work = null;
    for (const gate of this.gates) leaveGate(gate);
  }

  private get ssl(): SslCounters {
    this.counters.ssl ??= new SslCounters();
    return this.counters.ssl;
  }

  sweep(now: number): void {
    if (this.chain !== null) this.lookForChain(now);
    this.work?.sweep(now);
  }

  get listenerName(): string {
    return this.listener.name;
  }

  get goneChain(): string | null {
    return this.goneSinceTick < 0 ? null : this.chain!.name;
  }

  /** What a push has taken away is let go for the time of draining, then cut (Envoy: in-place filter chain update). */
  private lookForChain(now: number): void {
    const { table } = this.acceptor.plane;
    if (table !== this.table) {
      this.table = table;
      const listener = table.listeners.get(this.listener.name);
      const chain = listener === undefined ? null : matchChain(listener, this.chainFacts!);
      const { http, tcp } = this.chain!;
      if (chain !== null && (chain.http === null) === (http === null) && (chain.tcp === null) === (tcp === null))
        this.goneSinceTick = -1;
      else if (this.goneSinceTick < 0) this.goneSinceTick = now;
    }
    if (this.goneSinceTick >= 0 && now - this.goneSinceTick >= this.acceptor.drainMs) this.drop();
  }

  drop(): void {
    this.transport.destroy();
  }
}
