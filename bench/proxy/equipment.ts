/** What the bench needs besides the project: load generators, Envoy, nginx, HAProxy. Got on demand, kept outside of the tree. */
import { attempt } from '../../e2e/cluster/command.ts';
import { type DebianPackage, install, missing, obstacle } from '../../e2e/local/debian.ts';
import { envoyProgram } from '../../tools/envoy.ts';

export const peerNames = ['envoy', 'nginx', 'haproxy'] as const;
export type PeerName = (typeof peerNames)[number];

/** nginx is the upstream too. */
const needed: DebianPackage[] = [
  { name: 'util-linux', file: '/usr/bin/taskset' },
  { name: 'nginx-light', file: '/usr/sbin/nginx' },
  { name: 'wrk', file: '/usr/bin/wrk' },
  { name: 'nghttp2-client', file: '/usr/bin/h2load' },
];
const haproxyPackage: DebianPackage = { name: 'haproxy', file: '/usr/sbin/haproxy' };

export interface Equipment {
  /** Program of each peer that is here, and its version. */
  readonly peers: ReadonlyMap<PeerName, { readonly program: string; readonly version: string }>;
  /** Peers that are not here, and why. */
  readonly missing: ReadonlyMap<PeerName, string>;
}

/** Throws when what every case needs cannot be had, with what to do. */
export async function equip(wanted: readonly string[], progress: (line: string) => void): Promise<Equipment> {
  if (process.platform !== 'linux') throw new Error('the proxy bench reads /proc and pins processes: it needs Linux');
  const absent = missing(needed);
  const inTheWay = await obstacle(needed);
  if (inTheWay) throw new Error(`the proxy bench needs ${absent.join(', ')}: ${inTheWay}`);
  await install(needed, progress);
  const peers = new Map<PeerName, { program: string; version: string }>();
  const lacking = new Map<PeerName, string>();
  for (const name of peerNames) {
    if (!wanted.includes(name)) continue;
    try {
      const program = await programOf(name, progress);
      peers.set(name, { program, version: await versionOf(name, program) });
    } catch (error) {
      lacking.set(name, (error as Error).message);
      progress(`without ${name}: ${(error as Error).message}`);
    }
  }
  return { peers, missing: lacking };
}

async function programOf(name: PeerName, progress: (line: string) => void): Promise<string> {
  if (name === 'nginx') return 'nginx';
  if (name === 'envoy') return envoyProgram(progress);
  const inTheWay = await obstacle([haproxyPackage]);
  if (inTheWay) throw new Error(inTheWay);
  await install([haproxyPackage], progress);
  return 'haproxy';
}

async function versionOf(name: PeerName, program: string): Promise<string> {
  const { stdout, stderr } = await attempt([program, name === 'envoy' ? '--version' : '-v']);
  return /\d+\.\d+\.\d+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}
