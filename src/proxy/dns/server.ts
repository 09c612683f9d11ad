/**
 * The DNS server of a pod (istio.io: "DNS Proxying"). iptables sends the application's questions here, those of the proxy's own user not.
 *
 *     application ─► 127.0.0.1:15053, UDP and TCP ─► responder ─► table of names (NDS)
 *                                                             └─► forwarder ─► resolvers of /etc/resolv.conf
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import { type AddressInfo, createServer, isIPv6, type Server } from 'node:net';
import type { NameTable } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import type { DnsCounters } from './counters.ts';
import type { Resolver } from './forwarder.ts';
import { Names, type Place } from './names.ts';
import { Responder } from './responder.ts';
import { serveStream } from './stream.ts';

export interface DnsServerOptions {
  /** Addresses to listen at, each by UDP and TCP. */
  readonly hosts: readonly string[];
  /** 0 takes any, one for each protocol and address. */
  readonly port: number;
  readonly place: Place;
  readonly resolvers: readonly Resolver[];
  readonly attemptMs?: number;
  readonly maxOutstanding?: number;
  /** Connections at once; 128 unless told. */
  readonly maxConnections?: number;
  /** 10 s unless told. */
  readonly idleMs?: number;
  readonly maxPipelined?: number;
  readonly maxQueuedBytes?: number;
}

export interface DnsServer {
  /** Of the first address. */
  readonly ports: { readonly udp: number; readonly tcp: number };
  readonly counters: DnsCounters;
  /** Whether it knows names. */
  readonly isReady: boolean;
  /** Questions that wait for a resolver. */
  readonly outstanding: number;
  /** From the next question on. */
  take(table: NameTable): void;
  close(): void;
}

/** Rejects, naming the address, when one cannot be bound. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { hosts, port, place, resolvers, attemptMs, maxOutstanding } = options;
  const responder = new Responder({ resolvers, attemptMs, maxOutstanding });
  const open: Array<DatagramSocket | Server> = [];
  const streams = new Set<{ destroy(): void }>();
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    responder.forwarder.close();
    for (const each of open) each.close();
    for (const stream of streams) stream.destroy();
  };
  try {
    for (const host of hosts) {
      open.push(await listenUdp(host, port, responder));
      open.push(await listenTcp(host, port, responder, options, streams));
    }
  } catch (error) {
    close();
    throw new Error(`DNS: ${(error as Error).message}`);
  }
  const [udp, tcp] = open.map((each) => (each.address() as AddressInfo).port);
  return {
    ports: { udp, tcp },
    counters: responder.counters,
    get isReady() {
      return responder.names !== null;
    },
    get outstanding() {
      return responder.forwarder.outstanding;
    },
    take(table) {
      responder.names = new Names(table, place);
    },
    close,
  };
}

function listenUdp(host: string, port: number, responder: Responder): Promise<DatagramSocket> {
  const { createSocket } = process.getBuiltinModule('node:dgram');
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  socket.on('message', (bytes, from) =>
    responder.handle(bytes, 'udp', (reply) => {
      if (reply === null) return;
      try {
        // A sender that is gone hears nothing; nobody else is told either.
        socket.send(reply, from.port, from.address, () => {});
      } catch {
        // Closed while a resolver was asked.
      }
    }),
  );
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.off('error', reject);
      // What happened to one datagram is no reason to take no more.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

function listenTcp(
  host: string,
  port: number,
  responder: Responder,
  { maxConnections = 128, idleMs = 10_000, maxPipelined = 16, maxQueuedBytes = 1 << 20 }: DnsServerOptions,
  streams: Set<{ destroy(): void }>,
): Promise<Server> {
  const limits = { idleMs, maxPipelined, maxQueuedBytes };
  // Whoever has asked and closed its own side still gets its answers.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    streams.add(socket);
    socket.on('close', () => streams.delete(socket));
    serveStream(socket, responder, limits);
  });
  server.maxConnections = maxConnections;
  server.on('drop', () => {
    responder.counters.closed++;
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve(server);
    });
  });
}
