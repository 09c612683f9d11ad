import type { IstioInstallation } from '../../api/installation/istio-installation.ts';
import type { KubeClient } from '../../kube/client.ts';
import { pause, systemClock } from '../../kube/clock.ts';
import { deployments, type Resource } from '../../kube/object.ts';
import { parseDurationMs } from '../../lib/duration.ts';
import { operatorName, operatorObjects } from '../../operator/deployment.ts';
import { installations, listInstallations } from '../../operator/installations.ts';
import { allKinds } from '../../operator/kinds.ts';
import { confirm } from '../confirm.ts';
import { CliError, exit, usageError } from '../exit.ts';
import type { Terminal } from '../terminal.ts';
import { verb } from '../verb.ts';

const pollMs = 250;

export default verb({
  name: 'uninstall',
  summary: 'Remove the mesh from a cluster',
  usage: '(--purge | --revision NAME) [-y]',
  about:
    'Removes installations with everything that they made. Your own resources stay, and so do the definitions of their kinds.',
  examples: [
    ['Everything, the operator too', 'lateen uninstall --purge -y'],
    ['One control plane', 'lateen uninstall --revision canary -y'],
  ],
  flags: {
    purge: { type: 'boolean', summary: 'All installations and the operator' },
    revision: { type: 'string', short: 'r', summary: 'The installation of this revision', placeholder: 'NAME' },
    'dry-run': { type: 'boolean', summary: 'Show what would be removed and change nothing' },
    'skip-confirmation': { type: 'boolean', short: 'y', summary: 'Do not ask' },
    timeout: { type: 'string', summary: 'How long to wait', default: '5m0s', placeholder: 'DURATION' },
    force: { type: 'boolean', summary: 'Accepted, as istioctl has it' },
    filename: { type: 'string', short: 'f', summary: 'Not taken; name a revision', placeholder: 'FILE' },
  },
  maxArgs: 0,
  async run({ flags, kube, stdin, terminal, signal }) {
    const timeoutMs = parseDurationMs(flags.timeout);
    if (timeoutMs === null || timeoutMs <= 0)
      throw usageError(`--timeout is a duration such as 90s or 5m, is "${flags.timeout}"`);
    if (flags.filename !== undefined) throw usageError('-f is not taken', 'use --revision NAME or --purge');
    if (flags.purge === (flags.revision !== undefined)) throw usageError('give either --purge or --revision NAME');
    const client = await kube();
    const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const chosen = await choose(client, flags.purge ? null : (flags.revision ?? ''));
      const what = chosen.map(({ metadata }) => `IstioInstallation ${metadata.name}`);
      if (flags.purge) what.push('the operator');
      if (flags['dry-run']) {
        terminal.line(`Would remove ${what.join(', ')}.`);
        return exit.ok;
      }
      if (!flags['skip-confirmation'])
        await confirm(`This will remove ${what.join(', ')} from ${client.server}. Proceed? (y/N) `, stdin, terminal);
      for (const installation of chosen) await removeInstallation(client, installation, terminal, until);
      if (flags.purge) await removeOperator(client, terminal, until);
      terminal.success('Uninstall complete');
      return exit.ok;
    } catch (error) {
      if (!until.aborted || signal.aborted) throw error;
      throw new CliError(`not removed after ${flags.timeout}`, {
        hint: 'see "kubectl get istioinstallations -o yaml"; run it again to go on',
      });
    } finally {
      client.close();
    }
  },
});

async function choose(client: KubeClient, revision: string | null): Promise<IstioInstallation[]> {
  const items = await listInstallations(client);
  if (revision === null) return items;
  const matching = items.filter(({ spec }) => (spec?.revision || 'default') === revision);
  if (matching.length > 0) return matching;
  const known = items.map(({ spec }) => spec?.revision || 'default');
  throw new CliError(`no installation has the revision "${revision}"`, {
    hint: `there is ${known.join(', ') || 'none'}`,
  });
}

async function removeInstallation(
  client: KubeClient,
  { metadata }: IstioInstallation,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { name = '' } = metadata;
  const step = terminal.step(`Removing IstioInstallation ${name}`);
  try {
    await client.delete(installations, name, undefined, { signal });
    for (;;) {
      const found = await client.get(installations, name, undefined, { signal });
      if (!found) break;
      // Its finalizer waits for the operator.
      const operator = await client.get(deployments, operatorName, operatorName, { signal });
      if (!operator)
        throw new CliError(
          `nobody removes IstioInstallation ${name}: Deployment ${operatorName}/${operatorName} is missing`,
          {
            hint: 'apply deploy/operator.yaml, or run "lateen install", and try again',
          },
        );
      step.update(`Removing IstioInstallation ${name}: ${found.status?.message ?? ''}`);
      await pause(systemClock, pollMs, signal);
      signal.throwIfAborted();
    }
  } catch (error) {
    step.fail(`IstioInstallation ${name} not removed`);
    throw error;
  }
  step.done(`IstioInstallation ${name} removed`);
}

async function removeOperator(client: KubeClient, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const step = terminal.step('Removing the operator');
  // The image does not matter to what is removed.
  const objects = operatorObjects({ image: 'any' }).reverse();
  for (const { kind, metadata = {} } of objects) {
    const of = allKinds.find((each) => each.kind === kind) as Resource;
    await client.delete(of, metadata.name ?? '', metadata.namespace, { propagation: 'Background', signal });
  }
  for (const { kind, metadata = {} } of objects) {
    const of = allKinds.find((each) => each.kind === kind) as Resource;
    while (await client.get(of, metadata.name ?? '', metadata.namespace, { signal })) {
      await pause(systemClock, pollMs, signal);
      signal.throwIfAborted();
    }
  }
  step.done('Operator removed');
}
