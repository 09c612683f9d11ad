/**
 * Interception without iptables, for pods that share one machine's loopback network (`lateen up` without root): the
 * connections that iptables would redirect are accepted at addresses of the pod's own, and a table tells where each was going.
 *
 *     application ── reviews = 127.9.4.7:9080 ──► taken as if at 15001, going to 10.78.0.3:9080
 *     other pods ─── pod IP 127.9.4.1:9080 ─────► taken as if at 15006 ──► application at 127.9.4.2:9080
 */
import { isIP } from 'node:net';
import type { Listener } from '../config/table.ts';
import type { Address } from './connection.ts';

export interface Interception {
  /** The pod's address: what would listen on every address listens here. */
  readonly host: string;
  /** Where the application listens, on the same ports as iptables would have intercepted. */
  readonly application: string;
  readonly inbound: readonly Captured[];
  readonly outbound: readonly Captured[];
}

export interface Captured {
  /** Bound by the proxy. */
  readonly at: Address;
  /** What SO_ORIGINAL_DST would say. */
  readonly destination: Address;
}

/** An address that a listener accepts connections at; without a destination the kernel is asked for it. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly destination: Address | null;
}

const maxCaptured = 10_000;

/** Throws an Error that names the first field that is wrong. */
export function parseInterception(text: string): Interception {
  const given = JSON.parse(text) as Partial<Record<keyof Interception, unknown>>;
  return {
    host: ip('host', given.host),
    application: ip('application', given.application),
    inbound: captured('inbound', given.inbound),
    outbound: captured('outbound', given.outbound),
  };
}

function ip(field: string, value: unknown): string {
  if (typeof value !== 'string' || isIP(value) === 0)
    throw new Error(`${field}: ${JSON.stringify(value)} is no IP address`);
  return value;
}

function address(field: string, value: unknown): Address {
  const { ip: host, port } = (value ?? {}) as Partial<Address>;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`${field}.port: ${JSON.stringify(port)} is no port`);
  return { ip: ip(`${field}.ip`, host), port };
}

function captured(field: string, value: unknown): Captured[] {
  if (!Array.isArray(value) || value.length > maxCaptured)
    throw new Error(`${field}: must be a list of at most ${maxCaptured.toLocaleString('en')} addresses`);
  return value.map((each: Partial<Captured> | null, i) => ({
    at: address(`${field}[${i}].at`, each?.at),
    destination: address(`${field}[${i}].destination`, each?.destination),
  }));
}

/** Where a bound listener accepts; the intercepting ones do so at every captured address instead of their own port. */
export function placesOf(listener: Listener, interception: Interception | null): Place[] {
  if (listener.bind === null) return [];
  const { host, port } = listener.bind;
  const plain = [listener.bind, ...listener.moreAddresses].map((at) => ({ ...at, destination: null }));
  if (interception === null) return plain;
  if (listener.useOriginalDst && listener.direction !== 'unspecified')
    return interception[listener.direction].map(({ at, destination }) => ({
      host: at.ip,
      port: at.port,
      destination,
    }));
  const everywhere = host === '0.0.0.0' || host === '::';
  return [{ host: everywhere ? interception.host : host, port, destination: null }];
}
