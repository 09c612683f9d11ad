import { isIPv6 } from 'node:net';
import type { Listener, Table } from '../config/table.ts';
import type { Address } from './connection.ts';

/** Listeners by direction, address and port; made once for each table. */
const indexes = new WeakMap<Table, Map<string, Listener>>();

function indexOf(table: Table): Map<string, Listener> {
  let index = indexes.get(table);
  if (index === undefined) {
    index = new Map();
    for (const listener of table.listeners.values()) {
      const { host, port } = listener.address;
      index.set(`${listener.direction} ${host} ${port}`, listener);
    }
    indexes.set(table, index);
  }
  return index;
}

/**
 * The listener that takes a redirected connection: the one at its original destination, else the one at that port of any
 * address, else the one that accepted it (Envoy: use_original_dst).
 */
export function handedTo(table: Table, accepting: Listener, destination: Address, socketLocal: Address): Listener {
  const redirected = destination.ip !== socketLocal.ip || destination.port !== socketLocal.port;
  if (!accepting.useOriginalDst || !redirected) return accepting;
  const index = indexOf(table);
  const { direction } = accepting;
  const any = isIPv6(destination.ip) ? ['::'] : ['0.0.0.0', '::'];
  for (const host of [destination.ip, ...any]) {
    const found = index.get(`${direction} ${host} ${destination.port}`);
    if (found !== undefined && found.name !== accepting.name) return found;
  }
  return accepting;
}
