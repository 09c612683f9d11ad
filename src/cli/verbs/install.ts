import type { ComponentStatus, IstioInstallation } from '../../api/installation/istio-installation.ts';
import { resolve } from '../../api/installation/profiles.ts';
import type { KubeClient } from '../../kube/client.ts';
import { pause, systemClock } from '../../kube/clock.ts';
import { isConflict } from '../../kube/error.ts';
import { type ApiObject, customResourceDefinitions, deployments, pods } from '../../kube/object.ts';
import { parseDurationMs } from '../../lib/duration.ts';
import { version } from '../../lib/version.ts';
import { operatorName, operatorObjects } from '../../operator/deployment.ts';
import { installations, listInstallations } from '../../operator/installations.ts';
import { allKinds } from '../../operator/kinds.ts';
import { podTrouble } from '../../operator/pod-trouble.ts';
import { confirm } from '../confirm.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { readInstallation } from '../install/input.ts';
import { render } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { verb } from '../verb.ts';

const pollMs = 250;

/** The check marks, in the order in which they are shown; a component's kind may have several. */
const groups = [
  { kind: 'Core', doing: 'Installing Istio core', done: 'Istio core installed' },
  { kind: 'ControlPlane', doing: 'Installing Istiod', done: 'Istiod installed' },
  { kind: 'EgressGateway', doing: 'Installing Egress gateways', done: 'Egress gateways installed' },
  { kind: 'IngressGateway', doing: 'Installing Ingress gateways', done: 'Ingress gateways installed' },
] as const;

export default verb({
  name: 'install',
  summary: 'Install or reconfigure the mesh in a cluster',
  usage: '[--set PATH=VALUE]... [-f FILE]... [-y]',
  about:
    'Applies the operator and an IstioInstallation, and waits until every component is ready. FILE is an IstioInstallation or an IstioOperator of Istio.',
  examples: [
    ['The profile "default"', 'lateen install -y'],
    ['Everything for trying it out', 'lateen install --set profile=demo -y'],
    ['Another control plane beside the first', 'lateen install --revision canary -y'],
    ['What would be installed', 'lateen install --set profile=demo --dry-run'],
  ],
  flags: {
    filename: {
      type: 'string',
      short: 'f',
      multiple: true,
      summary: 'File with an IstioInstallation or IstioOperator',
      placeholder: 'FILE',
    },
    set: {
      type: 'string',
      short: 's',
      multiple: true,
      summary: 'Set one field of the installation',
      placeholder: 'PATH=VALUE',
    },
    revision: { type: 'string', short: 'r', summary: 'Revision of the control plane', placeholder: 'NAME' },
    'dry-run': { type: 'boolean', summary: 'Show what would be installed and change nothing' },
    'skip-confirmation': { type: 'boolean', short: 'y', summary: 'Do not ask' },
    'readiness-timeout': {
      type: 'string',
      summary: 'How long to wait for every component',
      default: '5m0s',
      placeholder: 'DURATION',
    },
    force: { type: 'boolean', summary: 'Accepted, as istioctl has it; nothing here needs it' },
    verify: { type: 'boolean', summary: 'Accepted, as istioctl has it; what is installed is always verified' },
    manifests: {
      type: 'string',
      short: 'd',
      summary: 'Accepted, as istioctl has it; there are no charts',
      placeholder: 'PATH',
    },
  },
  maxArgs: 0,
  async run({ flags, kube, stdout, stdin, terminal, signal }) {
    const timeoutMs = parseDurationMs(flags['readiness-timeout']);
    if (timeoutMs === null || timeoutMs <= 0)
      throw usageError(`--readiness-timeout is a duration such as 90s or 5m, is "${flags['readiness-timeout']}"`);
    const { installation: asked, warnings } = readInstallation({
      files: flags.filename,
      settings: flags.set,
      revision: flags.revision,
    });
    for (const warning of warnings) terminal.warning(warning);
    const { hub, tag, imagePullSecrets } = resolve(asked.spec);
    const pullPolicy = asked.spec?.components?.control?.k8s?.imagePullPolicy;
    const objects = operatorObjects({ image: `${hub}/lateen:${tag}`, pullPolicy, pullSecrets: imagePullSecrets });
    if (flags['dry-run']) {
      terminal.line(`Would apply the operator (${objects.length} objects of deploy/operator.yaml) and this:`);
      stdout.write(await render(asked, 'yaml'));
      return exit.ok;
    }
    const client = await kube();
    const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      if (!flags['skip-confirmation']) {
        const profile = asked.spec?.profile ?? 'default';
        await confirm(
          `This will install Lateen ${version} with the profile "${profile}" into ${client.server}. Proceed? (y/N) `,
          stdin,
          terminal,
        );
      }
      const installation = await settleName(client, asked);
      await installOperator(client, objects, terminal, until);
      await applyInstallation(client, installation);
      await followComponents(client, installation.metadata.name ?? '', terminal, until);
      terminal.success('Installation complete');
      if (!installation.spec?.revision)
        terminal.line('Made this installation the default for injection and validation.');
      return exit.ok;
    } catch (error) {
      if (until.aborted && !signal.aborted) throw await timeoutError(client, asked, flags['readiness-timeout'], error);
      throw error;
    } finally {
      client.close();
    }
  },
});

/** A revision that is installed already, under whatever name, is reconfigured. */
async function settleName(client: KubeClient, asked: IstioInstallation): Promise<IstioInstallation> {
  const items = await listInstallations(client);
  const twin = items.find(({ spec }) => (spec?.revision || 'default') === (asked.spec?.revision || 'default'));
  return twin ? { ...asked, metadata: { ...asked.metadata, name: twin.metadata.name } } : asked;
}

async function installOperator(
  client: KubeClient,
  objects: ApiObject[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const step = terminal.step('Installing the operator');
  try {
    for (const object of objects) await client.apply(kindOf(object), object, { fieldManager: 'lateen', signal });
    for (;;) {
      const definition = await client.get(customResourceDefinitions, 'istioinstallations.lateen.dev', undefined, {
        signal,
      });
      const operator = await client.get(deployments, operatorName, operatorName, { signal });
      const isEstablished = definition?.status?.conditions?.some(
        ({ type, status }) => type === 'Established' && status === 'True',
      );
      const { observedGeneration = 0, updatedReplicas = 0, availableReplicas = 0 } = operator?.status ?? {};
      const isCurrent = observedGeneration >= (operator?.metadata?.generation ?? 1);
      if (isEstablished && isCurrent && updatedReplicas > 0 && availableReplicas > 0) break;
      await pause(systemClock, pollMs, signal);
      signal.throwIfAborted();
    }
  } catch (error) {
    step.fail('Operator not installed');
    throw error;
  }
  step.done('Operator installed');
}

function kindOf(object: ApiObject) {
  const found = allKinds.find(({ kind }) => kind === object.kind);
  if (!found) throw new Error(`no such kind: ${object.kind}`);
  return found;
}

/** Replaces the spec: what an earlier installation asked for and this one does not is given up. */
async function applyInstallation(client: KubeClient, installation: IstioInstallation): Promise<void> {
  const { name = '' } = installation.metadata;
  for (let attempt = 0; ; attempt++) {
    const found = await client.get(installations, name);
    try {
      if (found) await client.update(installations, { ...found, spec: installation.spec }, { fieldManager: 'lateen' });
      else await client.create(installations, installation, { fieldManager: 'lateen' });
      return;
    } catch (error) {
      // The operator writes the status of the same object.
      if (!isConflict(error) || attempt === 5) throw error;
    }
  }
}

async function followComponents(
  client: KubeClient,
  name: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  let current: IstioInstallation | null = null;
  const refresh = async () => {
    current = await client.get(installations, name, undefined, { signal });
    if (!current) throw new CliError(`IstioInstallation ${name} was deleted meanwhile`);
    return seen(current);
  };
  let state = await refresh();
  const next = async () => {
    await pause(systemClock, pollMs, signal);
    signal.throwIfAborted();
    state = await refresh();
  };
  while (state.components === null) {
    failOn(state.failure);
    await next();
  }
  for (const { kind, doing, done } of groups) {
    const mine = () => (state.components ?? []).filter((component) => component.kind === kind);
    if (mine().length === 0) continue;
    const step = terminal.step(doing);
    try {
      while (mine().some(({ status }) => status !== 'Ready')) {
        failOn(state.failure);
        step.update(
          `${doing}: ${mine()
            .map(({ message }) => message)
            .filter(Boolean)
            .join('; ')}`,
        );
        await next();
      }
    } catch (error) {
      step.fail(`${doing} failed`);
      throw error;
    }
    step.done(done);
  }
  while (!state.isReady) {
    failOn(state.failure);
    await next();
  }
}

interface Seen {
  /** Null until the operator has looked at this generation. */
  components: ComponentStatus[] | null;
  isReady: boolean;
  failure: string | null;
}

function seen({ metadata, status }: IstioInstallation): Seen {
  if (!status || status.observedGeneration !== metadata.generation)
    return { components: null, isReady: false, failure: null };
  const condition = (type: string) => status.conditions?.find((each) => each.type === type);
  const reconciled = condition('Reconciled');
  // A failed write is tried again; these two need the user.
  const isRefused = reconciled?.reason === 'InvalidSpec' || reconciled?.reason === 'Conflict';
  return {
    components: status.components ?? [],
    isReady: condition('Ready')?.status === 'True',
    failure: isRefused ? `${reconciled.reason}: ${reconciled.message}` : null,
  };
}

function failOn(failure: string | null): void {
  if (failure !== null) throw new CliError(failure);
}

/** Says which component was waited for and what its pods say. */
async function timeoutError(
  client: KubeClient,
  { metadata, spec }: IstioInstallation,
  timeout: string,
  cause: unknown,
): Promise<CliError> {
  try {
    const found = await client.get(installations, metadata.name ?? '', undefined, { timeoutMs: 5_000 });
    const unready = found?.status?.components?.filter(({ status }) => status !== 'Ready') ?? [];
    const namespaces = new Set([
      operatorName,
      ...unready.map(({ namespace = spec?.namespace ?? 'istio-system' }) => namespace),
    ]);
    const troubles: string[] = [];
    for (const namespace of namespaces) {
      const { items } = await client.list(pods, { namespace, timeoutMs: 5_000 });
      const trouble = podTrouble(items);
      if (trouble) troubles.push(trouble);
    }
    const waiting = unready.map(({ name, message }) => `${name} (${message})`).join(', ') || 'the operator';
    return new CliError(`not ready after ${timeout}: ${waiting}`, {
      hint:
        troubles.join('\n') ||
        'see "kubectl get istioinstallations -o yaml" and the logs of Deployment lateen-operator',
    });
  } catch {
    return new CliError(`not ready after ${timeout}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
