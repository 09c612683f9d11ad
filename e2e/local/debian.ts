import { existsSync } from 'node:fs';
import { attempt, onPath } from '../cluster/command.ts';

/** A Debian package and a file that shows that it is installed. */
export interface DebianPackage {
  name: string;
  file: string;
}

/** What the nodes of a `local` cluster run on. */
export const nodePackages: DebianPackage[] = [
  { name: 'containerd', file: '/usr/bin/containerd' },
  { name: 'runc', file: '/usr/sbin/runc' },
  { name: 'containernetworking-plugins', file: '/usr/lib/cni/bridge' },
  { name: 'iptables', file: '/usr/sbin/iptables' },
  { name: 'iproute2', file: '/usr/sbin/ip' },
  { name: 'util-linux', file: '/usr/bin/nsenter' },
];

export function missing(packages: DebianPackage[]): string[] {
  return [...new Set(packages.filter((entry) => !existsSync(entry.file)).map((entry) => entry.name))];
}

/** Why the packages that are missing could not be installed from here, or null when they could. */
export async function obstacle(packages: DebianPackage[]): Promise<string | null> {
  const names = missing(packages);
  if (names.length === 0) return null;
  if (!(await onPath('apt-get'))) return `${names.join(', ')} missing, and no apt-get to install them with`;
  if (process.getuid?.() !== 0) return `${names.join(', ')} missing; run "apt-get install ${names.join(' ')}" as root`;
  return null;
}

/** Installs what is missing. Throws with what apt-get said when that fails. */
export async function install(packages: DebianPackage[], progress: (line: string) => void): Promise<void> {
  const names = missing(packages);
  if (names.length === 0) return;
  progress(`installing Debian packages: ${names.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, timeoutMs: 600_000 };
  const get = (...args: string[]) =>
    attempt(['apt-get', '-q', '-y', '-o', 'DPkg::Lock::Timeout=120', ...args], options);
  await get('update');
  const result = await get('install', '--no-install-recommends', ...names);
  const left = missing(packages);
  if (left.length > 0)
    throw new Error(
      `apt-get install ${names.join(' ')}: ${left.join(', ')} still missing: ${result.stderr.trim().slice(-2000)}`,
    );
}
