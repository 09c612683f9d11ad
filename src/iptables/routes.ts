/** Addresses and routes that redirection needs besides the rules. */
import { failure, NetfilterError, run } from './netfilter.ts';
import type { InterceptionOptions } from './options.ts';
import type { Family } from './rules.ts';

/** Repeatable. Throws `NetfilterError`. */
export function applyRoutes(options: InterceptionOptions, families: readonly Family[]): void {
  // The proxy binds ::6 towards its application; unlike 127.0.0.0/8, IPv6's loopback is one address.
  if (families.includes(6)) ip(options, ['-6', 'address', 'replace', '::6/128', 'dev', 'lo']);
  if (options.mode !== 'TPROXY' || options.inboundPortsInclude.length === 0) return;
  const table = String(options.tproxyRouteTable);
  const mark = `0x${options.tproxyMark.toString(16)}`;
  for (const family of families) {
    // Marked packets are taken in as local, whatever their destination.
    const known = ip(options, [`-${family}`, 'rule', 'list']);
    if (!known.includes(`fwmark ${mark} lookup ${table}`))
      ip(options, [`-${family}`, 'rule', 'add', 'fwmark', mark, 'lookup', table]);
    ip(options, [`-${family}`, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', table]);
  }
}

/** Undoes `applyRoutes`, as far as there is anything to undo. */
export function removeRoutes(options: InterceptionOptions, families: readonly Family[]): void {
  const table = String(options.tproxyRouteTable);
  const mark = `0x${options.tproxyMark.toString(16)}`;
  for (const family of families) {
    if (run(options, ['ip', `-${family}`, 'rule', 'list']).stdout?.includes(`fwmark ${mark} lookup ${table}`)) {
      ip(options, [`-${family}`, 'rule', 'delete', 'fwmark', mark, 'lookup', table]);
      run(options, ['ip', `-${family}`, 'route', 'flush', 'table', table]);
    }
  }
}

function ip(options: InterceptionOptions, args: string[]): string {
  const result = run(options, ['ip', ...args]);
  if (result.error || result.status !== 0) throw new NetfilterError(`ip ${args.join(' ')}: ${failure(result)}`);
  return result.stdout;
}
