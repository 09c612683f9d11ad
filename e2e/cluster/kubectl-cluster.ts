import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster, Forward, ForwardTarget, Vantage } from './cluster.ts';
import { attempt, type CommandOptions, type CommandResult, run } from './command.ts';

/** Between the end of a forwarding command and its next start, when that failed. */
const restartMs = 200;

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

  /**
   * By `kubectl port-forward`, which reaches one pod of a Service through the kubelet. It ends when a connection is refused, or
   * with the pod, and is started again on the same port.
   */
  async forward(target: ForwardTarget): Promise<Forward> {
    const what = target.pod ? `pod/${target.pod}` : `service/${target.service}`;
    const listen = (port: number | '') =>
      listening([...this.kubectlCommand, '-n', target.namespace, 'port-forward', what, `${port}:${target.port}`], {
        ...process.env,
        KUBECONFIG: this.kubeconfig,
      });
    let current = await listen('');
    const { host, port, url } = current;
    let isClosed = false;
    const kept = (async () => {
      while (!isClosed) {
        await current.ended;
        if (isClosed) return;
        try {
          current = await listen(port);
        } catch {
          // No pod is there at the moment.
          await pause(restartMs);
        }
      }
    })();
    const close = async () => {
      isClosed = true;
      await current.close();
      await kept;
      await current.close();
    };
    return { host, port, url, close };
  }

  vantage(): Vantage {
    return { command: [], kubeconfig: this.kubeconfig };
  }

  abstract loadImages(archivePath: string): Promise<void>;
  abstract nodeExec(node: string, argv: string[], options?: CommandOptions): Promise<CommandResult>;
  abstract down(): Promise<void>;
}

/** A forwarding command; `ended` is fulfilled when it has ended, however that came. */
export interface Forwarder extends Forward {
  ended: Promise<void>;
}

/** Starts a forwarding command and waits, 20 s at most, for the line in which it tells its loopback address. */
export async function listening(argv: string[], env: NodeJS.ProcessEnv): Promise<Forwarder> {
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
    return { host: '127.0.0.1', port, url: `http://127.0.0.1:${port}`, close, ended: gone };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
