import { isIP } from 'node:net';
import type { CidrRange, FilterChain, Listener } from '../config/table.ts';
import { cidrContains } from '../http/cidr.ts';
import type { Address } from './connection.ts';

/** What a filter chain is chosen by. */
export interface ChainFacts {
  readonly destination: Address;
  readonly source: Address;
  /** The peer of the socket itself. */
  readonly directSource: Address;
  /** Lower case; ''. */
  readonly serverName: string;
  readonly transport: 'tls' | 'raw_buffer';
  /** Offered by the ClientHello, or found by inspection (`http/1.1`, `http/1.0`, `h2c`). */
  readonly protocols: readonly string[];
}

/** Keeps the chains with the best score above 0; a chain that does not care scores 1, one that does not match 0. */
function narrow(chains: readonly FilterChain[], score: (chain: FilterChain) => number): readonly FilterChain[] {
  if (chains.length === 0) return chains;
  let best = 0;
  let kept: FilterChain[] = [];
  for (const chain of chains) {
    const points = score(chain);
    if (points < best || points === 0) continue;
    if (points > best) kept = [];
    best = points;
    kept.push(chain);
  }
  return kept;
}

function longestPrefix(ranges: readonly CidrRange[], ip: string): number {
  if (ranges.length === 0) return 1;
  let best = 0;
  for (const range of ranges) if (cidrContains(range, ip)) best = Math.max(best, 2 + range.bits);
  return best;
}

function longestName(names: readonly string[], serverName: string): number {
  if (names.length === 0) return 1;
  let best = 0;
  for (const name of names) {
    if (name === serverName && serverName !== '') best = Math.max(best, 10_000);
    else if (name.startsWith('*.') && serverName.length > name.length - 1 && serverName.endsWith(name.slice(1)))
      best = Math.max(best, 1 + name.length);
  }
  return best;
}

/** Envoy's SAME_IP_OR_LOOPBACK: a Unix socket, a loopback address, or the same address on both sides. */
function isLocal(source: string, destination: string): boolean {
  if (!isIP(source)) return true;
  return source.startsWith('127.') || source === '::1' || source === destination;
}

/**
 * The chain for a connection in Envoy's documented order (config.listener.v3.FilterChainMatch): destination port, destination
 * address, server name, transport protocol, application protocols, directly connected source address, source type, source
 * address, source port. Each step keeps only the most specific matches, and there is no way back. Null when none matches and there is no default.
 */
export function matchChain(listener: Listener, facts: ChainFacts): FilterChain | null {
  let chains = listener.chains;
  const { destination, source } = facts;
  chains = narrow(chains, ({ match }) =>
    match.destinationPort === null ? 1 : match.destinationPort === destination.port ? 2 : 0,
  );
  chains = narrow(chains, ({ match }) => longestPrefix(match.destinationPrefixes, destination.ip));
  chains = narrow(chains, ({ match }) => longestName(match.serverNames, facts.serverName));
  chains = narrow(chains, ({ match }) =>
    match.transportProtocol === null ? 1 : match.transportProtocol === facts.transport ? 2 : 0,
  );
  chains = narrow(chains, ({ match }) => {
    if (match.applicationProtocols.length === 0) return 1;
    const at = facts.protocols.findIndex((protocol) => match.applicationProtocols.includes(protocol));
    return at < 0 ? 0 : 1000 - at;
  });
  chains = narrow(chains, ({ match }) => longestPrefix(match.directSourcePrefixes, facts.directSource.ip));
  chains = narrow(chains, ({ match }) => {
    if (match.sourceType === 'any') return 1;
    return (match.sourceType === 'sameIpOrLoopback') === isLocal(source.ip, destination.ip) ? 2 : 0;
  });
  chains = narrow(chains, ({ match }) => longestPrefix(match.sourcePrefixes, source.ip));
  chains = narrow(chains, ({ match }) =>
    match.sourcePorts.length === 0 ? 1 : match.sourcePorts.includes(source.port) ? 2 : 0,
  );
  return chains[0] ?? listener.defaultChain;
}
