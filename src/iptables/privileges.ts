/** From root to the proxy's user. */
import { readFileSync } from 'node:fs';
import { NetfilterError } from './netfilter.ts';
import type { InterceptionOptions } from './options.ts';

/**
 * Becomes the proxy's user and group, for every thread and for good: with the user id the kernel takes every capability
 * (capabilities(7), "Effect of user ID changes on capabilities"), and the container's `allowPrivilegeEscalation: false` bars
 * the way back. Supplementary groups stay, but root's: a pod's fsGroup is what lets the proxy read its token.
 * Throws `NetfilterError` when anything of root is left. Does nothing for a process that is not root.
 */
export function giveUpRoot({ proxyUids, proxyGids }: Pick<InterceptionOptions, 'proxyUids' | 'proxyGids'>): void {
  if (process.geteuid?.() !== 0) return;
  const [uid, gid] = [Number(proxyUids[0]), Number(proxyGids[0])];
  if (uid === 0 || gid === 0)
    throw new NetfilterError('the proxy must not run as root: give -u and -g other ids than 0');
  try {
    process.setgroups?.((process.getgroups?.() ?? []).filter((group) => group !== 0));
    process.setgid?.(gid);
    process.setuid?.(uid);
  } catch (error) {
    throw new NetfilterError(
      `root cannot be given up (${(error as Error).message}); the container needs capabilities.add [SETUID, SETGID]`,
    );
  }
  const status = readFileSync('/proc/self/status', 'utf8');
  const left = /^Cap(?:Eff|Prm):\s*0*[1-9a-f]/m.exec(status)?.[0];
  if (left) throw new NetfilterError(`root was given up, yet the process has capabilities (${left})`);
}
