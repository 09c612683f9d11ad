import type { Socket } from 'node:net';
import { type Address, unmapped } from '../net/connection.ts';
import { writeProxyHeader } from '../net/proxy-protocol.ts';

/** Whose connection or request is passed on. */
export interface Caller {
  readonly remote: Address;
  /** Where it went. */
  readonly local: Address;
}

/**
 * What a host is told of the caller before anything else. Without one, version 2 says that the connection is this proxy's own, and
 * version 1 names the connection's own ends, since its UNKNOWN is refused by many (Envoy: upstream_proxy_protocol.cc).
 */
export function proxyHeader(version: 1 | 2, caller: Caller | null, socket: Socket): Buffer {
  if (caller !== null) return writeProxyHeader(version, caller.remote, caller.local);
  if (version === 2) return writeProxyHeader(2, null, null);
  const end = (ip: string | undefined, port: number | undefined) => ({ ip: unmapped(ip ?? ''), port: port ?? 0 });
  return writeProxyHeader(1, end(socket.localAddress, socket.localPort), end(socket.remoteAddress, socket.remotePort));
}
