import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Cluster, Forward, ForwardTarget } from './cluster.ts';
import { attempt, type CommandOptions, type CommandResult, run } from './command.ts';

/** What every provider does alike, given a kubeconfig: kubectl, and forwarding through it. */
export abstract class KubectlCluster implements Cluster {
  abstract readonly provider: string;
  readonly name: string;
  readonly kubeconfig: string;
  readonly nodes: string[];
  readonly kubectlCommand: string[];
  readonly logFolder: string | null;

  constructor(
    name: string,
    kubeconfig: string,
    nodes: string[],
    kubectlCommand: string[],
    logFolder: string | null = null,
  ) {
    this.name = name;
    this.kubeconfig = kubeconfig;
    this.nodes = nodes;
    this.kubectlCommand = kubectlCommand;
    this.logFolder = logFolder;
  }

  kubectl(args: string[], options: CommandOptions = {}): Promise<string> {
    return run([...this.kubectlCommand, ...args], this.withKubeconfig(options));
  }

  tryKubectl(args: string[], options: CommandOptions = {}): Promise<CommandResult> {
    return attempt([...this.kubectlCommand, ...args], this.withKubeconfig(options));
  }

  private withKubeconfig(options: CommandOptions): CommandOptions {
    return { ...options, env: { ...(options.env ?? process.env), KUBECONFIG: this.kubeconfig } };
  }

  /** By `kubectl port-forward`, which reaches one pod of a Service through the kubelet. */
  async forward(target: ForwardTarget): Promise<Forward> {
    const what = target.pod ? `pod/${target.pod}` : `service/${target.service}`;
    const argv = [...this.kubectlCommand, '-n', target.namespace, 'port-forward', what, `:${target.port}`];
    return listening(argv, { ...process.env, KUBECONFIG: this.kubeconfig });
  }

  abstract loadImages(archivePath: string): Promise<void>;
  abstract nodeExec(node: string, argv: string[], options?: CommandOptions): Promise<CommandResult>;
  abstract down(): Promise<void>;
}

/** Starts a forwarding command and waits, 20 s at most, for the line in which it tells its loopback address. */
export async function listening(argv: string[], env: NodeJS.ProcessEnv): Promise<Forward> {
  const child = spawn(argv[0], argv.slice(1), { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const found = /127\.0\.0\.1:(\d+)/.exec(line);
    if (found) resolve(Number(found[1]));
  });
  child.on('error', reject);
  child.on('close', () => reject(new Error(`${argv.join(' ')}: ended before it listened: ${said}`)));
  const timer = setTimeout(() => reject(new Error(`${argv.join(' ')}: does not listen after 20 s: ${said}`)), 20_000);
  try {
    const port = await promise;
    const close = async () => {
      child.kill('SIGKILL');
      await gone;
    };
    return { host: '127.0.0.1', port, url: `http://127.0.0.1:${port}`, close };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
