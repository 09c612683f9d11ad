/** Where the pods of `lateen up` live: in namespaces of their own (namespaces.ts), or side by side on loopback addresses (loopback.ts). */
import type { ChildProcess } from 'node:child_process';
import type { Plan, PlannedPod } from './plan.ts';

export interface Sandbox {
  readonly name: string;
  readonly ip: string;
  /** True when traffic comes to the proxy without an init container that redirects it. */
  readonly intercepts: boolean;
  /** Starts a process in the pod as `user`, where processes can have users of their own; the caller owns its pipes. */
  start(argv: string[], options: { user: number; env: Record<string, string>; directory?: string }): ChildProcess;
}

/** What a pod's hosts file says. */
export interface HostAddresses {
  readonly localhost: string;
  readonly pod: string;
  readonly controlPlane: string;
  /** By `name.namespace`. */
  readonly services: ReadonlyMap<string, string>;
}

export interface Ground {
  /** How pods are kept apart, after "a mesh on this machine". */
  readonly description: string;
  readonly controlAddress: string;
  podAddress(index: number): string;
  hostAddresses(pod: PlannedPod, plan: Plan): HostAddresses;
  /** Called once before the first sandbox; throws when the plan cannot be carried out here. */
  prepare(plan: Plan): Promise<void>;
  /** @param files absolute path in the pod → content; only below /etc and /run */
  createSandbox(pod: PlannedPod, plan: Plan, files: Record<string, string>): Promise<Sandbox>;
  /** Ends what runs in the sandboxes. */
  close(): Promise<void>;
}
