/** What a verb is, and what it is given. */
import type { KubeClient } from '../kube/client.ts';
import type { Terminal } from './terminal.ts';

export interface Flag {
  type: 'boolean' | 'string';
  /** One letter: `-f`. */
  short?: string;
  /** May be repeated; its value is a list. */
  multiple?: boolean;
  summary: string;
  /** The only values that it takes. */
  choices?: readonly string[];
  default?: string | boolean;
  /** What stands for the value in the help: `FILE`. */
  placeholder?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

type ValueOf<F extends Flag> = F extends { type: 'boolean' }
  ? boolean
  : F extends { multiple: true }
    ? string[]
    : F extends { default: string }
      ? string
      : string | undefined;

export type Values<F extends Flags> = { [K in keyof F]: ValueOf<F[K]> };

/** Understood by every verb. */
export const globalFlags = {
  context: { type: 'string', summary: 'Kubernetes configuration context', placeholder: 'NAME' },
  kubeconfig: { type: 'string', short: 'c', summary: 'Kubernetes configuration file', placeholder: 'FILE' },
  namespace: { type: 'string', short: 'n', summary: 'Namespace to work in', placeholder: 'NAMESPACE' },
  istioNamespace: {
    type: 'string',
    short: 'i',
    summary: "The control plane's namespace",
    default: 'istio-system',
    placeholder: 'NAMESPACE',
  },
  help: { type: 'boolean', short: 'h', summary: 'Show how the verb is used' },
} as const satisfies Flags;

/** What a verb may touch. Results go to `stdout`; everything that a person reads on the way goes to `terminal` (stderr). */
export interface World {
  stdout: { write(text: string): unknown };
  stdin: AsyncIterable<Uint8Array | string> & { isTTY?: boolean };
  terminal: Terminal;
  env: Record<string, string | undefined>;
  /** Aborts at SIGINT and SIGTERM. */
  signal: AbortSignal;
  /** Opens the cluster that the flags name; throws `CliError` when there is none. */
  kube(flags: Values<typeof globalFlags>): Promise<KubeClient>;
}

export interface Context<F extends Flags> extends Omit<World, 'kube'> {
  /** What is left after the flags. */
  args: string[];
  flags: Values<F & typeof globalFlags>;
  kube(): Promise<KubeClient>;
}

export interface Verb<F extends Flags = Flags> {
  name: string;
  summary: string;
  /** After `lateen NAME`: `[-f FILE]`. */
  usage: string;
  /** More about it, in whole sentences. */
  about?: string;
  /** Pairs of what it does and the command. */
  examples: ReadonlyArray<readonly [does: string, command: string]>;
  flags: F;
  /** Positional arguments that it takes. */
  maxArgs: number;
  /** Returns the exit code; throws `CliError` for what the user can mend. */
  run(context: Context<F>): Promise<number>;
}

/** Defines a verb; the flags' types follow from their definition. */
export function verb<const F extends Flags>(definition: Verb<F>): Verb<F> {
  return definition;
}
