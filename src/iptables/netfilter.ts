/** Runs the iptables programs: finds the variant that works here, reads and replaces the rules. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { InterceptionOptions } from './options.ts';
import { readSaved, restoreInput, untraceable } from './restore.ts';
import type { Family, Table } from './rules.ts';

/** The rules could not be read or changed; the message tells what to do. */
export class NetfilterError extends Error {
  override name = 'NetfilterError';
}

type Place = Pick<InterceptionOptions, 'networkNamespace' | 'binary'>;

export interface Applied {
  /** `iptables-nft`, `ip6tables-legacy`, … */
  program: string;
  /** What iptables-restore was given; empty when nothing had to change. */
  input: string;
}

/** Longest run of one program; the lock of the legacy variant is waited for 30 s. */
const timeoutMs = 45_000;
const maxOutputBytes = 16 * 1024 * 1024;

/** Makes `wanted` of what is there, in one transaction a table; an empty list removes what an earlier run made. Repeatable. */
export function applyTables(
  family: Family,
  wanted: readonly Table[],
  place: Place,
  removed: readonly Table[] = [],
): Applied {
  checkCapability(place);
  const failures: string[] = [];
  for (const program of candidates(family, place)) {
    const saved = run(place, [`${program}-save`]);
    if (!works(saved)) {
      failures.push(`${program}-save: ${failure(saved)}`);
      continue;
    }
    const input = inputFor(program, wanted, removed, saved.stdout, place);
    if (input === '') return { program, input };
    const restored = run(place, [`${program}-restore`, '--noflush', '-w', '30'], input);
    if (works(restored)) return { program, input };
    failures.push(`${program}-restore: ${failure(restored)}`);
  }
  throw new NetfilterError(`no iptables program works here: ${failures.join('; ')}`);
}

function inputFor(
  program: string,
  wanted: readonly Table[],
  removed: readonly Table[],
  savedText: string,
  place: Place,
): string {
  const saved = readSaved(savedText);
  const present = new Set<string>();
  // An untouched network namespace has nothing to look for.
  if (savedText.includes('\n-A '))
    for (const { table, chain, match } of untraceable([...wanted, ...removed])) {
      const check = run(place, [program, '-w', '30', '-t', table, '-C', chain, ...match.split(' ')]);
      if (check.status === 0) present.add(`${table} ${chain} ${match}`);
    }
  const input = restoreInput(wanted, saved, present);
  const deletions = untraceable(removed).filter(({ table, chain, match }) => present.has(`${table} ${chain} ${match}`));
  return deletions.reduce((text, { table, chain, match }) => `${text}*${table}\n-D ${chain} ${match}\nCOMMIT\n`, input);
}

/** What an earlier run used comes first, then nft, which needs no lock, then whatever is called iptables, then legacy. */
function candidates(family: Family, { binary }: Place): string[] {
  const word = family === 4 ? 'iptables' : 'ip6tables';
  if (binary) return [`${word}-${binary}`];
  const [nft, legacy] = [`${word}-nft`, `${word}-legacy`];
  return legacyInUse(family) ? [legacy, nft, word] : [nft, word, legacy];
}

/** The kernel lists the tables that the legacy variant holds in this network namespace. */
function legacyInUse(family: Family): boolean {
  try {
    return readFileSync(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8').trim() !== '';
  } catch {
    return false;
  }
}

const capNetAdmin = 12n;

function checkCapability({ networkNamespace }: Place): void {
  let effective: bigint;
  try {
    effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  } catch (error) {
    throw new NetfilterError(`/proc/self/status cannot be read (${(error as Error).message}); redirection needs Linux`);
  }
  if (((effective >> capNetAdmin) & 1n) === 1n) return;
  throw new NetfilterError(
    `changing iptables${networkNamespace ? ` in ${networkNamespace}` : ''} needs the capability NET_ADMIN, which this process (user ${process.getuid?.()}) lacks; ` +
      'let the container istio-init run as user 0 with capabilities.add [NET_ADMIN, NET_RAW]',
  );
}

/**
 * Whether the pod speaks this family: its first address that is neither loopback nor link-local decides, as in Istio;
 * both families with `dualStack`.
 */
export function familiesOf(
  { dualStack }: Pick<InterceptionOptions, 'dualStack'>,
  addresses = podAddresses(),
): Family[] {
  const v6 = addresses.map((address) => address.includes(':'));
  if (dualStack ? v6.includes(true) : v6[0] === true) return [4, 6];
  return [4];
}

function podAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address) && !address.startsWith('169.254.'))
    .map(({ address }) => address);
}

/** Runs a program in the network namespace that was asked for. Never throws. */
export function run(
  { networkNamespace }: Pick<Place, 'networkNamespace'>,
  command: string[],
  input?: string,
): SpawnSyncReturns<string> {
  const [file, ...args] = networkNamespace ? ['nsenter', `--net=${networkNamespace}`, '--', ...command] : command;
  return spawnSync(file, args, {
    input,
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: maxOutputBytes,
    env: environment(),
  });
}

function environment(): NodeJS.ProcessEnv {
  // Where Debian and Alpine keep them; a container's PATH may lack it.
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` };
  // The legacy variant locks a file; in a container with a read-only root only the pod's volumes take one.
  if (!writable('/run') && writable('/etc/istio/proxy'))
    return { ...env, XTABLES_LOCKFILE: '/etc/istio/proxy/xtables.lock' };
  return env;
}

function writable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function works({ error, status }: SpawnSyncReturns<string>): boolean {
  return error === undefined && status === 0;
}

export function failure({ error, status, signal, stderr }: SpawnSyncReturns<string>): string {
  if (error) return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not installed' : error.message;
  const said = stderr.trim().replace(/\s*\n\s*/g, ' / ');
  return `${signal ? `ended by ${signal}` : `exit code ${status}`}${said ? `, ${said}` : ''}`;
}
