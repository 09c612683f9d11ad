/** Runs the containers of an injected pod as local processes, in the order and with the environment that a kubelet would. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Sandbox } from './ground.ts';
import type { Manifest, PlannedPod } from './plan.ts';
import { argvOf, type Container, speaks } from './programs.ts';

const proxyUser = 1337;
const applicationUser = 1000;
const maxKeptLines = 500;

export interface RunningContainer {
  readonly name: string;
  readonly process: ChildProcess;
  /** The last 500 lines of its output. */
  readonly lines: string[];
}

export interface RunningPod {
  readonly name: string;
  readonly ip: string;
  readonly sandbox: Sandbox;
  readonly labels: Record<string, string>;
  readonly containers: RunningContainer[];
  /** Starts what must run beside and after the proxy: the application's own containers. */
  startApplication(): void;
}

/** Runs the init containers to their end and starts the proxy; the applications wait for `startApplication`. */
export async function startPod(planned: PlannedPod, sandbox: Sandbox): Promise<RunningPod> {
  const injected = planned.pod;
  const containers: RunningContainer[] = [];
  const initial: Container[] = injected.spec.initContainers ?? [];
  const all: Container[] = injected.spec.containers;
  const isSidecar = (container: Container) => container.restartPolicy === 'Always' || container.name === 'istio-proxy';

  const start = (container: Container, user: number) => {
    const process = sandbox.start(argvOf(container, injected.metadata.annotations), {
      user,
      env: environment(container, injected, planned),
    });
    const running = { name: container.name, process, lines: [] as string[] };
    for (const stream of [process.stderr, speaks(container) ? null : process.stdout])
      if (stream)
        createInterface({ input: stream }).on('line', (line) => {
          running.lines.push(line);
          if (running.lines.length > maxKeptLines) running.lines.shift();
        });
    containers.push(running);
    return running;
  };

  const isNeeded = ({ name }: Container) => !(sandbox.intercepts && name === 'istio-init');
  for (const container of initial.filter((c) => !isSidecar(c) && isNeeded(c))) {
    const running = start(container, 0);
    const [code] = await once(running.process, 'exit');
    if (code !== 0)
      throw new Error(
        `pod ${sandbox.name}: ${container.name} ended with ${code}:\n${running.lines.slice(-10).join('\n')}`,
      );
  }
  for (const container of [...initial, ...all].filter(isSidecar)) start(container, proxyUser);

  return {
    name: sandbox.name,
    ip: sandbox.ip,
    sandbox,
    labels: injected.metadata.labels ?? {},
    containers,
    startApplication() {
      for (const container of all.filter((c) => !isSidecar(c))) start(container, applicationUser);
    },
  };
}

interface EnvironmentVariable {
  name: string;
  value?: string;
  valueFrom?: { fieldRef?: { fieldPath: string }; resourceFieldRef?: { resource: string } };
}

/** Downward API fields and `$(NAME)` references, as a kubelet resolves them. */
function environment(container: Container, pod: Manifest, planned: PlannedPod): Record<string, string> {
  const fields: Record<string, string> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace ?? 'default',
    'metadata.uid': pod.metadata.name,
    'spec.serviceAccountName': pod.spec.serviceAccountName ?? 'default',
    'spec.nodeName': 'local',
    'status.podIP': planned.ip,
    'status.hostIP': '127.0.0.1',
  };
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: pod.metadata.name,
    HOME: '/',
  };
  for (const variable of (container.env ?? []) as EnvironmentVariable[]) {
    const field = variable.valueFrom?.fieldRef?.fieldPath;
    if (variable.value !== undefined) env[variable.name] = expand(variable.value, env);
    else if (field !== undefined) env[variable.name] = fields[field] ?? '';
    else if (variable.valueFrom?.resourceFieldRef?.resource === 'limits.cpu') env[variable.name] = '2';
  }
  return env;
}

export function expand(text: string, env: Record<string, string>): string {
  return text.replace(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (reference, name) => env[name] ?? reference);
}
