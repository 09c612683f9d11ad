/** What /etc/resolv.conf says (resolv.conf(5)), as far as it is used. */
import { isIP } from 'node:net';

export interface ResolvConf {
  /** Addresses, in order; a zone (`%eth0`) is left out, and what is no address. */
  readonly nameservers: readonly string[];
  /** Lower case, without a dot at the end. */
  readonly search: readonly string[];
}

/** Of several `search` and `domain` lines the last one counts. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver') {
      const server = values[0]?.replace(/%.*$/, '') ?? '';
      if (isIP(server) !== 0) nameservers.push(server);
    } else if (keyword === 'search') search = values;
    else if (keyword === 'domain') search = values.slice(0, 1);
  }
  const names = search.map((name) => name.toLowerCase().replace(/\.$/, '')).filter((name) => name !== '');
  return { nameservers, search: names };
}
