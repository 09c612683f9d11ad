import type { DebianPackage } from '../local/debian.ts';
import type { CommandOptions, CommandResult } from './command.ts';

/** Where a test can reach something of the cluster from its own process. */
export interface Forward {
  host: string;
  port: number;
  /** `http://HOST:PORT`. */
  url: string;
  close(): Promise<void>;
}

/** What is reached: a port of a Service, or of a pod. */
export interface ForwardTarget {
  namespace: string;
  /** Exactly one of the two. */
  service?: string;
  pod?: string;
  port: number;
}

/** Where a program can reach what only the cluster's nodes can: the words before its own, and a kubeconfig that works there. */
export interface Vantage {
  command: string[];
  kubeconfig: string;
}

/** A running Kubernetes cluster, as the tests see it. */
export interface Cluster {
  readonly provider: string;
  readonly name: string;
  /** Path of a kubeconfig that works from this process. */
  readonly kubeconfig: string;
  /** The nodes' names. */
  readonly nodes: string[];
  /** Where the cluster's own programs write their logs, or null. */
  readonly logFolder: string | null;
  /** The command that is kubectl here, without arguments. */
  readonly kubectlCommand: string[];
  /** Runs kubectl as cluster admin and gives its standard output; throws when it fails. */
  kubectl(args: string[], options?: CommandOptions): Promise<string>;
  /** The same without throwing. */
  tryKubectl(args: string[], options?: CommandOptions): Promise<CommandResult>;
  /** Puts every image of a docker-archive file onto every node. */
  loadImages(archivePath: string): Promise<void>;
  forward(target: ForwardTarget): Promise<Forward>;
  /** Runs a command in a node's network namespace; throws where the provider has no way in. */
  nodeExec(node: string, argv: string[], options?: CommandOptions): Promise<CommandResult>;
  /** From where the addresses of Services and load balancers answer: this process itself unless the provider knows better. */
  vantage(): Vantage;
  /** Ends the cluster and removes every trace of it; a cluster that the provider did not make stays. */
  down(): Promise<void>;
}

export type Availability = { ok: true; why: string } | { ok: false; why: string };

export interface Provider {
  readonly name: string;
  /** Debian packages that `create` installs when they are missing. */
  readonly packages: DebianPackage[];
  available(): Promise<Availability>;
  /** Makes a cluster, first clearing away what an earlier one of the same name left. `progress` is given one line a step. */
  create(name: string, options: { nodes: number; progress: (line: string) => void }): Promise<Cluster>;
  /** A cluster that is up already, or null. */
  attach(name: string): Promise<Cluster | null>;
  /** Clears away whatever there is of a cluster that this provider made, even half made. Safe to repeat. */
  remove(name: string): Promise<void>;
}
