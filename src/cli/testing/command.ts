/** Runs a command line as a shell would see it, in this process. */

import type { KubeClient } from '../../kube/client.ts';
import { CliError } from '../exit.ts';
import { runCommand } from '../main.ts';
import { Terminal } from '../terminal.ts';

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Surroundings {
  stdin?: string;
  /** Without it there is no cluster. */
  cluster?: KubeClient;
}

export async function lateen(words: string[], { stdin = '', cluster }: Surroundings = {}): Promise<Outcome> {
  const written = { stdout: '', stderr: '' };
  const code = await runCommand(words, {
    stdout: { write: (text) => (written.stdout += text) },
    stdin: (async function* () {
      yield stdin;
    })(),
    terminal: new Terminal({ write: (text) => (written.stderr += text) }, { env: {} }),
    env: {},
    signal: new AbortController().signal,
    kube: async (): Promise<KubeClient> => {
      if (!cluster) throw new CliError('no Kubernetes cluster: none is configured');
      return cluster;
    },
  });
  return { code, ...written };
}
