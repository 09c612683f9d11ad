/**
 * The names that a proxy knows addresses of, from the control plane's table, as its application may ask for them
 * (Istio: pkg/dns/client/dns.go `generateAltHosts`, `lookupHost`, `buildDNSAnswers`).
 *
 * A cluster's own services have shorter names too; these and the search domain are undone when a question comes rather than written out when
 * the table does, which would be four times its size. In order, the first that holds answers:
 *
 *     reviews.shop.svc.cluster.local                  the name itself, as it is or made longer:
 *     reviews.shop.svc, reviews.shop, reviews           … of the proxy's domain; the last in the proxy's own namespace
 *     www.example.com.shop.svc.cluster.local          with the first search domain behind: an alias of the name without it
 *     a.b.example.com                                 *.b.example.com, *.example.com, *.com
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { NameTable } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { ipv4Number } from '../http/cidr.ts';
import { isName } from './message.ts';

export interface Place {
  readonly namespace: string;
  /** `shop.svc.cluster.local` or `svc.cluster.local`. */
  readonly domain: string;
  /** Of /etc/resolv.conf; the first alone is looked at, as clients try it first. */
  readonly search: readonly string[];
}

export interface Known {
  /** Addresses of 4 bytes. */
  readonly ipv4: readonly Uint8Array[];
  /** Addresses of 16 bytes. */
  readonly ipv6: readonly Uint8Array[];
  /** Of Kubernetes: known by shorter names. */
  readonly native: boolean;
}

export interface Found {
  readonly known: Known;
  /** The name that the addresses are of, where it is another than the one asked for. */
  readonly alias: string | null;
}

export class Names {
  readonly #known = new Map<string, Known>();
  readonly #namespace: string;
  /** `svc.cluster.local`; '' for none. */
  readonly #domain: string;
  readonly #searchEnd: string | null;
  #hasWildcards = false;

  /** Names and addresses that are none are left out. */
  constructor({ table }: NameTable, { namespace, domain, search }: Place) {
    this.#namespace = namespace;
    this.#domain = domain.startsWith(`${namespace}.`) ? domain.slice(namespace.length + 1) : domain;
    this.#searchEnd = search.length === 0 ? null : `.${search[0]}`;
    for (const [host, { ips, registry }] of Object.entries(table)) {
      const name = host.toLowerCase().replace(/\.$/, '');
      if (!isName(name)) continue;
      const ipv4 = ips.filter((ip) => isIPv4(ip)).map(ipv4Bytes);
      const ipv6 = ips.filter((ip) => isIPv6(ip) && !ip.includes('%')).map(ipv6Bytes);
      if (ipv4.length + ipv6.length === 0) continue;
      this.#hasWildcards ||= name.startsWith('*.');
      this.#known.set(name, { ipv4, ipv6, native: registry === 'Kubernetes' && isWithin(name, this.#domain) });
    }
  }

  get size(): number {
    return this.#known.size;
  }

  /** `name` in lower case, without a dot at its end. */
  find(name: string): Found | null {
    const exact = this.#exact(name);
    if (exact) return { known: exact, alias: null };
    const end = this.#searchEnd;
    if (end !== null && name.endsWith(end) && name.length > end.length) {
      const alias = name.slice(0, -end.length);
      // What ends with the search domain once is not looked for with it twice.
      const known = alias.endsWith(end) ? null : (this.#exact(alias) ?? this.#wildcard(alias));
      if (known) return { known, alias };
    }
    const known = this.#wildcard(name);
    return known && { known, alias: null };
  }

  #exact(name: string): Known | null {
    const known = this.#known.get(name);
    if (known) return known;
    if (this.#domain === '') return null;
    const [first] = this.#domain.split('.', 1);
    const whole = name.endsWith(`.${first}`)
      ? name + this.#domain.slice(first.length)
      : `${name}.${this.#namespace}.${this.#domain}`;
    for (const candidate of [whole, `${name}.${this.#domain}`]) {
      const service = this.#known.get(candidate);
      if (service?.native) return service;
    }
    return null;
  }

  #wildcard(name: string): Known | null {
    if (!this.#hasWildcards) return null;
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const known = this.#known.get(`*${name.slice(dot)}`);
      if (known) return known;
    }
    return null;
  }
}

const isWithin = (name: string, domain: string): boolean => domain !== '' && name.endsWith(`.${domain}`);

function ipv4Bytes(ip: string): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(ipv4Number(ip));
  return bytes;
}

function ipv6Bytes(ip: string): Uint8Array {
  const bytes = Buffer.alloc(16);
  const [head, tail] = ip.split('::').map(groupsOf);
  for (const [i, group] of head.entries()) bytes.writeUInt16BE(group, 2 * i);
  for (const [i, group] of (tail ?? []).entries()) bytes.writeUInt16BE(group, 16 - 2 * (tail.length - i));
  return bytes;
}

/** The last may be an IPv4 address, which is two of them. */
function groupsOf(part: string): number[] {
  return part
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => {
      if (!group.includes('.')) return Number.parseInt(group, 16);
      const number = ipv4Number(group);
      return [number >>> 16, number & 0xffff];
    });
}
