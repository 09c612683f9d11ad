import { BlockList, isIPv6 } from 'node:net';
import type { CidrRange } from '../config/table.ts';

/** A range is parsed once, when the first address is compared with it. */
const parsed = new WeakMap<CidrRange, BlockList>();

/** Whether a textual IPv4 or IPv6 address lies in the range; false for anything else. */
export function cidrContains(range: CidrRange, ip: string): boolean {
  let list = parsed.get(range);
  if (!list) {
    list = new BlockList();
    list.addSubnet(range.address, range.bits, isIPv6(range.address) ? 'ipv6' : 'ipv4');
    parsed.set(range, list);
  }
  return ip !== '' && list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
}
