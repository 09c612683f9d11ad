import { isIP } from 'node:net';
import type { Cluster } from '../config/table.ts';
import { type Address, type Addresses, unknownAddress } from '../net/connection.ts';

/** `1.2.3.4:80` or `[::1]:80`; null for anything else. */
function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text);
  if (match === null) return null;
  const ip = match[1] ?? match[2];
  const port = Number(match[3]);
  return isIP(ip) !== 0 && port > 0 && port <= 65_535 ? { ip, port } : null;
}

/**
 * Where a request to an original-destination cluster goes: to where its connection was bound for, if it was redirected to this
 * proxy, unless a header says other (Envoy: OriginalDstLbConfig). A connection to the proxy itself is bound for nowhere else.
 */
export function destinationOf(
  { originalDst }: Cluster,
  header: (name: string) => string | null,
  { local, socketLocal }: Pick<Addresses, 'local' | 'socketLocal'>,
): Address {
  const bound = local === socketLocal ? unknownAddress : local;
  if (originalDst === null) return bound;
  const given = originalDst.header === null ? null : header(originalDst.header);
  const { ip, port } = (given === null ? null : parseAddress(given.trim())) ?? bound;
  return { ip, port: originalDst.port || port };
}
