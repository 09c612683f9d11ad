import { lookup, type RecordWithTtl, resolve4, resolve6 } from 'node:dns';
import { isIP } from 'node:net';
import type { Cluster } from '../config/table.ts';

const maxAddressesPerName = 64;
const minTtlMs = 1000;

/** What DNS says of a cluster's names. Answers that fail leave what was known. */
export class Resolution {
  private readonly changed: () => void;
  private readonly known = new Map<string, readonly string[]>();
  private asking = 0;
  private askedTick = Number.NEGATIVE_INFINITY;
  /** The latest round had an answer that failed. */
  private failed = false;
  /** What DNS lets the latest answers live; infinite when it says nothing. */
  private ttlMs = Number.POSITIVE_INFINITY;
  closed = false;

  /** `changed` is called when a round of questions is over. */
  constructor(changed: () => void) {
    this.changed = changed;
  }

  static isName(host: string): boolean {
    return isIP(host) === 0 && !host.startsWith('/');
  }

  addressesOf(name: string): readonly string[] {
    return this.known.get(name) ?? [];
  }

  /** False while something is asked of which nothing is known yet. */
  get settled(): boolean {
    return this.asking === 0;
  }

  get asked(): boolean {
    return this.askedTick !== Number.NEGATIVE_INFINITY;
  }

  /** Asks again when it is time. */
  review(config: Cluster, now: number): void {
    const { refreshMs, failureRefreshMs } = config.dns;
    const pauseMs = this.failed ? failureRefreshMs : Number.isFinite(this.ttlMs) ? this.ttlMs : refreshMs;
    if (now - this.askedTick > pauseMs) this.ask(config);
  }

  /** Asks for every name once. */
  ask(config: Cluster): void {
    if (this.asking > 0) return;
    this.askedTick = performance.now();
    this.failed = false;
    this.ttlMs = Number.POSITIVE_INFINITY;
    const names = new Set(config.endpoints.flatMap(({ endpoints }) => endpoints.map(({ host }) => host)));
    for (const name of names) {
      if (!Resolution.isName(name)) continue;
      this.asking++;
      lookup(
        name,
        { all: true, verbatim: true, family: config.dns.family === 'v4' ? 4 : config.dns.family === 'v6' ? 6 : 0 },
        (error, addresses) => {
          this.asking--;
          if (this.closed) return;
          if (error !== null) this.failed = true;
          else if (addresses.length > 0) {
            this.known.set(name, chosen(addresses, config));
            if (config.dns.respectsTtl) this.askTtl(name, addresses[0].family);
          }
          if (this.asking === 0) this.changed();
        },
      );
    }
  }

  /** The system's own lookup, which knows hosts files and search domains, does not tell how long its answer holds. */
  private askTtl(name: string, family: number): void {
    const note = (error: Error | null, records: RecordWithTtl[]) => {
      if (error !== null) return;
      for (const { ttl } of records) this.ttlMs = Math.min(this.ttlMs, Math.max(minTtlMs, ttl * 1000));
    };
    if (family === 6) resolve6(name, { ttl: true }, note);
    else resolve4(name, { ttl: true }, note);
  }
}

/** Those of the preferred family, if there are any (Envoy: dns_lookup_family). */
function chosen(addresses: ReadonlyArray<{ address: string; family: number }>, { dns, discovery }: Cluster): string[] {
  const preferred = dns.family === 'v6First' ? 6 : dns.family === 'v4First' ? 4 : 0;
  const ofFamily = addresses.filter(({ family }) => family === preferred);
  const taken = ofFamily.length > 0 ? ofFamily : addresses;
  return taken.slice(0, discovery === 'logicalDns' ? 1 : maxAddressesPerName).map(({ address }) => address);
}
