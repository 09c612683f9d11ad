/**
 * `lateen iptables`: redirects the pod's traffic to its proxy. Runs in the init container `istio-init`, or in the proxy's
 * own container before the proxy: `lateen iptables … -- proxy sidecar …` gives up root for good after the rules are set,
 * and `src/main.ts` goes on with what follows `--` in the same process.
 */
import { readFileSync } from 'node:fs';
import { parseResolvConf } from '../lib/resolv-conf.ts';
import { applyTables, familiesOf, NetfilterError } from './netfilter.ts';
import { helpText, type InterceptionOptions, OptionError, readOptions } from './options.ts';
import { giveUpRoot } from './privileges.ts';
import { restoreInput } from './restore.ts';
import { applyRoutes, removeRoutes } from './routes.ts';
import { type Family, rules } from './rules.ts';
import { redirectionProblem } from './validation.ts';

/** istio-iptables' exit code for rules that do not redirect. */
const validationFailed = 126;

export async function main(args: string[]): Promise<number> {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  if (own.includes('--help') || own.includes('-h')) {
    process.stdout.write(helpText());
    return 0;
  }
  try {
    const options = readOptions(own, process.env);
    const code = await run(options);
    if (code === 0 && end >= 0) giveUpRoot(options);
    return code;
  } catch (error) {
    if (!(error instanceof OptionError || error instanceof NetfilterError)) throw error;
    process.stderr.write(`lateen iptables: ${error.message}\n`);
    return error instanceof OptionError ? 64 : 1;
  }
}

async function run(options: InterceptionOptions): Promise<number> {
  const families = familiesOf(options);
  const nameservers = options.redirectDns && !options.captureAllDns ? readNameservers() : [];
  if (options.cleanup) cleanUp(options, families, nameservers);
  else if (!options.skipApply && options.mode !== 'NONE') apply(options, families, nameservers);
  if (!options.validate || options.dryRun) return 0;

  for (const family of families) {
    const problem = await redirectionProblem(options, family);
    if (problem === null) continue;
    process.stderr.write(`lateen iptables: IPv${family} traffic is not redirected: ${problem}\n`);
    return validationFailed;
  }
  say(options, 'redirection is proven');
  return 0;
}

function apply(options: InterceptionOptions, families: readonly Family[], nameservers: readonly string[]): void {
  if (options.redirectDns && !options.captureAllDns && nameservers.length === 0)
    say(options, '/etc/resolv.conf names no server: DNS is not redirected');
  for (const family of families) {
    const tables = rules(options, family, nameservers);
    if (options.dryRun) {
      process.stdout.write(`# IPv${family}\n${restoreInput(tables)}`);
      continue;
    }
    const begun = performance.now();
    const { program, input } = applyTables(family, tables, options);
    say(options, `${program}-restore --noflush, ${Math.round(performance.now() - begun)} ms\n${input}`);
  }
  if (!options.dryRun) applyRoutes(options, families);
}

function cleanUp(options: InterceptionOptions, families: readonly Family[], nameservers: readonly string[]): void {
  for (const family of families) {
    if (options.dryRun) continue;
    const { program, input } = applyTables(family, [], options, rules(options, family, nameservers));
    say(options, input === '' ? `${program}: there was nothing to remove` : `${program}-restore --noflush\n${input}`);
  }
  if (!options.dryRun) removeRoutes(options, families);
}

function readNameservers(): string[] {
  try {
    return [...parseResolvConf(readFileSync('/etc/resolv.conf', 'utf8')).nameservers];
  } catch (error) {
    throw new NetfilterError(`/etc/resolv.conf cannot be read: ${(error as Error).message}`);
  }
}

function say({ quiet }: InterceptionOptions, text: string): void {
  if (!quiet) process.stdout.write(`${text.trimEnd()}\n`);
}
