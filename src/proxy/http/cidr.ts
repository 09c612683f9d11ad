import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { CidrRange } from '../config/table.ts';

/** What a range is compared by: 32-bit numbers for IPv4 addresses in an IPv4 range, Node's list for everything else. */
interface Compiled {
  readonly list: BlockList;
  readonly ipv4: boolean;
  readonly network: number;
  readonly mask: number;
}

/** A range is parsed once, when the first address is compared with it. */
const compiled = new WeakMap<CidrRange, Compiled>();

function compile(range: CidrRange): Compiled {
  const list = new BlockList();
  list.addSubnet(range.address, range.bits, isIPv6(range.address) ? 'ipv6' : 'ipv4');
  const mask = range.bits === 0 ? 0 : (-1 << (32 - range.bits)) >>> 0;
  const network = (ipv4Number(range.address) & mask) >>> 0;
  const made = { list, ipv4: isIPv4(range.address), network, mask };
  compiled.set(range, made);
  return made;
}

/** The address as an unsigned 32-bit number; -1 when the text is no IPv4 address of four decimal parts. */
export function ipv4Number(ip: string): number {
  let value = 0;
  let part = -1;
  let dots = 0;
  for (let i = 0; i < ip.length; i++) {
    const digit = ip.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      if (part === 0) return -1;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return -1;
    } else if (digit === -2 && part >= 0 && dots < 3) {
      value = value * 256 + part;
      part = -1;
      dots++;
    } else return -1;
  }
  return dots === 3 && part >= 0 ? value * 256 + part : -1;
}

/** Whether a textual IPv4 or IPv6 address lies in the range; false for anything else. */
export function cidrContains(range: CidrRange, ip: string): boolean {
  const { list, ipv4, network, mask } = compiled.get(range) ?? compile(range);
  if (ipv4) {
    const number = ipv4Number(ip);
    if (number >= 0) return (number & mask) >>> 0 === network;
  }
  return ip !== '' && list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
}

/** The first address of the range of `bits` that holds this one, in its canonical form (RFC 5952). */
export function maskedAddress(ip: string, bits: number): string {
  if (isIPv4(ip)) {
    const number = bits === 0 ? 0 : (ipv4Number(ip) & (-1 << (32 - bits))) >>> 0;
    return [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255].join('.');
  }
  if (!isIPv6(ip)) return ip;
  const [head, tail = ''] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::');
  const [first, last] = [head, tail].map((half) => half.split(':').filter(Boolean));
  const groups = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last];
  const kept = groups.map((group, i) => {
    const left = Math.max(0, Math.min(16, bits - i * 16));
    return (Number.parseInt(group, 16) & (0xffff << (16 - left)) & 0xffff).toString(16);
  });
  return new URL(`http://[${kept.join(':')}]`).hostname.slice(1, -1);
}
