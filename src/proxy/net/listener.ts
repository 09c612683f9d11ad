import { createServer, type Server, Socket } from 'node:net';
import type { FilterChain, Listener } from '../config/table.ts';
import { authorize } from '../http/authorize.ts';
import { HttpConnection } from '../http/http-connection.ts';
import { Http1Downstream } from '../http/http1-downstream.ts';
import { passHttp2 } from '../http/http2-passage.ts';
import type { Plane } from '../http/plane.ts';
import { chooseWeighted } from '../http/weighted.ts';
import { type ListenerCounters, SslCounters } from '../telemetry/counters.ts';
import { type ChainFacts, matchChain } from './chain-match.ts';
import { type Address, unmapped } from './connection.ts';
import { connectionFacts, factsWithoutRequest } from './connection-facts.ts';
import { type ClientHello, type Detected, detect, maxDetectBytes } from './detect.ts';
import { handedTo } from './hand-over.ts';
import type { Place } from './interception.ts';
import { originalDestination } from './original-dst.ts';
import { output } from './output.ts';
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
}

export interface Sweepable {
  sweep(now: number): void;
}

/** A connection as the runtime sees it. */
export interface Accepted extends Sweepable {
  /** Ends it at once. */
  drop(): void;
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
  /** The latest reason of each kind, for the admin pages. */
  lastTlsFailure: string;
}

const emptyBytes = Buffer.alloc(0);
const silent = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** A bound listener. A push that changes it swaps its configuration; connections keep what they were accepted under. */
export class BoundListener {
  config: Listener;
  readonly place: Place;
  private readonly acceptor: Acceptor;
  private readonly server: Server;
  readonly counters: ListenerCounters;

  constructor(config: Listener, place: Place, acceptor: Acceptor) {
    this.config = config;
    this.place = place;
    this.acceptor = acceptor;
    this.counters = acceptor.plane.statistics.listener(config);
    this.server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (accepted) =>
      this.accept(accepted),
    );
  }

  /** Resolves with the port. Rejects when the address cannot be bound. */
  listen(): Promise<number> {
    const { host, port } = this.place;
    return new Promise((resolve, reject) => {
      const { server } = this;
      server.once('error', (error) =>
        reject(new Error(`listener ${this.config.name} cannot bind ${host}:${port}: ${error.message}`)),
      );
      const address = host.startsWith('/') ? { path: host } : { host, port };
      server.listen({ ...address, backlog: 4096 }, () => {
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

  private accept(accepted: Socket): void {
    const { acceptor } = this;
    const { counters } = acceptor;
    if (counters.active >= acceptor.maxConnections) {
      counters.overLimit++;
      this.counters.downstreamGlobalCxOverflow++;
      accepted.destroy();
      return;
    }
    // A socket of one's own over the same handle, since an accepted one cannot be given a read buffer.
    const holder = accepted as unknown as { _handle: { reading: boolean; fd: number } | null };
    const handle = holder._handle;
    if (handle === null) return;
    const socketLocal: Address = { ip: unmapped(accepted.localAddress ?? ''), port: accepted.localPort ?? 0 };
    const remote: Address = { ip: unmapped(accepted.remoteAddress ?? ''), port: accepted.remotePort ?? 0 };
    holder._handle = null;
    handle.reading = false;
    const wantsOriginal = this.config.useOriginalDst || this.config.inspect.originalDst;
    const local = this.place.destination ?? (wantsOriginal ? originalDestination(handle.fd) : null) ?? socketLocal;
    counters.accepted++;
    counters.active++;
    this.counters.downstreamCxTotal++;
    this.counters.downstreamCxActive++;
    const transport = new Transport(false);
    const listener = handedTo(acceptor.plane.table, this.config, local, socketLocal);
    const socket = new Socket({
      handle,
      onread: transport.onread(),
      allowHalfOpen: true,
      pauseOnCreate: true,
    } as object);
    transport.attach(socket);
    new Arrival(acceptor, this.counters, listener, transport, { remote, local, socketLocal }).begin();
  }
}

/**
 * A connection between accept and the work that its filter chain names.
 *
 *     accepted → inspected (at most one timed read) → chain matched → TLS ended → HTTP or relay
 */
class Arrival implements Accepted {
  private readonly acceptor: Acceptor;
  private readonly counters: ListenerCounters;
  private readonly acceptedTick = output.tick;
  private readonly listener: Listener;
  private readonly transport: Transport;
  private readonly addresses: { remote: Address; local: Address; socketLocal: Address };
  private kept: Buffer = emptyBytes;
  private keptLength = 0;
  private timer: NodeJS.Timeout | null = null;
  private over = false;
  private settled = false;
  /** The transport behind TLS. */
  private ended: Transport | null = null;
  private work: Sweepable | null = null;

  constructor(
    acceptor: Acceptor,
    counters: ListenerCounters,
    listener: Listener,
    transport: Transport,
    addresses: { remote: Address; local: Address; socketLocal: Address },
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
    const { port } = this.addresses.local;
    const disabled = (ranges: Listener['tlsInspectDisabledPorts']) =>
      ranges.some((range) => port >= range.from && port < range.to);
    const endsTls = listener.chains.some((chain) => chain.tls !== null) || listener.defaultChain?.tls != null;
    const tls = (listener.inspect.tls && !disabled(listener.tlsInspectDisabledPorts)) || endsTls;
    const http = listener.inspect.http && !disabled(listener.httpInspectDisabledPorts);
    transport.receiver = {
      ...silent,
      onBytes: (bytes, length) => this.inspect(bytes, length, tls, http),
      onEnd: () => this.settle({ kind: 'unknown' }),
      onClose: () => this.finish(),
    };
    if (!tls && !http) {
      this.settle({ kind: 'unknown' });
      transport.socket.resume();
      return;
    }
    if (listener.inspectTimeoutMs > 0) {
      this.timer = setTimeout(() => {
        this.acceptor.counters.detectTimedOut++;
        this.counters.downstreamPreCxTimeout++;
        output.turn(() => (listener.continueOnInspectTimeout ? this.settle({ kind: 'unknown' }) : transport.destroy()));
      }, listener.inspectTimeoutMs);
    }
    transport.socket.resume();
  }

  private inspect(bytes: Buffer, length: number, tls: boolean, http: boolean): void {
    if (this.keptLength === 0) {
      const detected = detect(bytes, length, tls, http);
      if (detected.kind !== 'undecided') {
        this.kept = bytes;
        this.keptLength = length;
        this.settle(detected);
        return;
      }
    }
    this.kept = Buffer.concat([this.kept.subarray(0, this.keptLength), bytes.subarray(0, length)]);
    this.keptLength = this.kept.length;
    const detected = detect(this.kept, this.keptLength, tls, http);
    if (detected.kind !== 'undecided') this.settle(detected);
    else if (this.keptLength > maxDetectBytes) this.settle({ kind: 'unknown' });
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
    const copy = Buffer.from(peeked);
    this.kept = emptyBytes;
    terminateTls(this.transport, copy, hello, chain.tls, acceptor.plane.secrets, (terminated, reason) => {
      if (terminated === null) {
        acceptor.counters.tlsFailed++;
        acceptor.counters.lastTlsFailure = reason;
        this.ssl.connectionError++;
        this.finish();
        return;
      }
      this.ssl.handshake++;
      if (terminated.peer === null) this.ssl.noCertificate++;
      output.turn(() => this.enter(chain, chainFacts, hello, terminated, terminated.transport, emptyBytes));
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
    const facts = connectionFacts(listener, chain, this.addresses, hello, terminated);
    if (terminated !== null) this.ended = transport;
    transport.receiver = { ...silent, onClose: () => this.finish() };
    if (chain.networkRbac.length > 0 && !authorize(chain.networkRbac, factsWithoutRequest(facts), null).allowed) {
      acceptor.counters.rbacDenied++;
      transport.reset();
      return;
    }
    if (chain.tcp !== null) {
      const cluster = chooseWeighted(chain.tcp.clusters, chain.tcp.totalWeight);
      const session = new TcpRelay(plane, facts, listener, chain.tcp, transport, 'tcp', () => this.finish());
      this.work = session;
      session.start(cluster?.cluster ?? '', peeked);
      if (terminated !== null) transport.listenForData();
      return;
    }
    const manager = chain.http!;
    const begin = (first: Buffer, http2: boolean) => {
      if (http2) {
        const session = passHttp2(plane, facts, listener, manager, transport, first, () => this.finish());
        this.work = session;
        return;
      }
      const connection = new HttpConnection(
        plane,
        facts,
        chainFacts,
        listener,
        manager,
        chain.tls?.requireClientCertificate ?? false,
        () => this.finish(),
      );
      const downstream = new Http1Downstream(connection, transport);
      this.work = downstream;
      if (first.length > 0) transport.receiver.onBytes(first, first.length);
    };
    if (manager.codec === 'http2' || facts.alpn === 'h2') begin(peeked, true);
    else if (manager.codec === 'http1' || facts.alpn !== '') begin(peeked, false);
    else this.chooseCodec(transport, peeked, begin);
    if (terminated !== null) transport.listenForData();
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
    this.acceptor.counters.active--;
    this.counters.downstreamCxActive--;
    this.counters.downstreamCxDestroy++;
    this.counters.downstreamCxLengthMs.add(performance.now() - this.acceptedTick);
    this.acceptor.swept.delete(this);
    this.work = null;
  }

  private get ssl(): SslCounters {
    this.counters.ssl ??= new SslCounters();
    return this.counters.ssl;
  }

  sweep(now: number): void {
    this.work?.sweep(now);
  }

  drop(): void {
    this.transport.destroy();
    this.ended?.destroy();
  }
}
