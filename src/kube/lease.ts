/**
 * Leader election on a coordination.k8s.io/v1 Lease, by the rules of client-go's leaderelection:
 * whoever wrote the lease last leads until `leaseSeconds` have passed *on the observer's clock* since it last saw the
 * lease change (clocks of two machines are never compared); a leader that could not renew for `renewDeadlineSeconds`
 * steps down before anyone else may step up.
 */
import type { KubeClient } from './client.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { isConflict } from './error.ts';
import { type ApiObject, leases, type Metadata, type Resource } from './object.ts';

interface LeaseObject extends ApiObject {
  metadata: Metadata;
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

const leaseObjects = leases as Resource as Resource<LeaseObject>;

export interface LeaseOptions {
  client: KubeClient;
  namespace: string;
  name: string;
  /** This process: unique, and readable for whoever looks at the Lease. */
  identity: string;
  /** Labels on the Lease when it has to be made. */
  labels?: { [key: string]: string };
  leaseSeconds?: number;
  renewDeadlineSeconds?: number;
  retrySeconds?: number;
  clock?: Clock;
  /** Called on becoming leader; `signal` aborts when leadership ends. */
  lead: (signal: AbortSignal) => void | Promise<void>;
  onError?: (error: Error) => void;
}

export class Lease {
  readonly #options: LeaseOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  #leading: AbortController | null = null;
  #led: Promise<void> = Promise.resolve();
  #observedVersion = '';
  #observedAtMs = 0;
  #observedHolder = '';

  constructor(options: LeaseOptions) {
    const { leaseSeconds = 15, renewDeadlineSeconds = 10, retrySeconds = 2 } = options;
    if (!(retrySeconds < renewDeadlineSeconds && renewDeadlineSeconds < leaseSeconds))
      throw new Error(
        `lease ${options.name}: retry ${retrySeconds} s < renewal ${renewDeadlineSeconds} s < lease ${leaseSeconds} s must hold`,
      );
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = leaseSeconds * 1000;
    this.#renewDeadlineMs = renewDeadlineSeconds * 1000;
    this.#retryMs = retrySeconds * 1000;
  }

  get isLeader(): boolean {
    return this.#leading !== null;
  }

  /** Who leads as far as is known, itself included; empty when nobody does. */
  get holder(): string {
    return this.#observedHolder;
  }

  /** Campaigns and leads until `signal` aborts, then gives the lease back. */
  async run(signal: AbortSignal): Promise<void> {
    let renewedAtMs = 0;
    while (!signal.aborted) {
      const startedAtMs = this.#clock.nowMs();
      // A try, its repetitions included, must not outlive the deadline: a leader that is cut off would learn of it too late.
      const limit = new AbortController();
      const leftMs = this.#leading ? renewedAtMs + this.#renewDeadlineMs - startedAtMs : this.#renewDeadlineMs;
      const cancel = this.#clock.schedule(leftMs, () => limit.abort());
      try {
        const holds = await this.#acquireOrRenew(AbortSignal.any([signal, limit.signal]));
        if (holds) {
          // From before the request: the others count from when they see it.
          renewedAtMs = startedAtMs;
          if (!this.#leading) this.#stepUp();
        } else if (this.#leading) await this.#stepDown();
      } catch (error) {
        if (signal.aborted) break;
        if (!isConflict(error)) this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
      } finally {
        cancel();
      }
      if (this.#leading && this.#clock.nowMs() - renewedAtMs >= this.#renewDeadlineMs) await this.#stepDown();
      await pause(this.#clock, this.#retryMs * (1 + Math.random() * 0.2), signal);
    }
    const led = this.#leading !== null;
    await this.#stepDown();
    if (led) await this.#release();
  }

  #stepUp(): void {
    const leading = new AbortController();
    this.#leading = leading;
    this.#led = (async () => this.#options.lead(leading.signal))().catch((error) =>
      this.#options.onError?.(error as Error),
    );
  }

  async #stepDown(): Promise<void> {
    if (!this.#leading) return;
    this.#leading.abort();
    this.#leading = null;
    await this.#led;
  }

  async #acquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity, labels } = this.#options;
    const call = { signal };
    const now = new Date(this.#clock.wallMs()).toISOString().replace('Z', '000Z');
    const leaseDurationSeconds = this.#leaseMs / 1000;
    const found = await client.get(leaseObjects, name, namespace, call);
    if (!found) {
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 0,
      };
      const metadata = { name, namespace, labels };
      this.#observe(
        await client.create(
          leaseObjects,
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec },
          call,
        ),
      );
      return true;
    }
    this.#observe(found);
    const { holderIdentity = '', acquireTime = now, leaseTransitions = 0 } = found.spec ?? {};
    const mine = holderIdentity === identity;
    const heldForMs = (found.spec?.leaseDurationSeconds ?? leaseDurationSeconds) * 1000;
    if (!mine && holderIdentity !== '' && this.#clock.nowMs() - this.#observedAtMs < heldForMs) return false;
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds,
      acquireTime: mine ? acquireTime : now,
      renewTime: now,
      leaseTransitions: mine ? leaseTransitions : leaseTransitions + 1,
    };
    // Carries the version that was read: of two who see it expired, one fails with 409.
    this.#observe(await client.update(leaseObjects, { ...found, spec }, call));
    return true;
  }

  #observe(lease: LeaseObject): void {
    const version = lease.metadata.resourceVersion ?? '';
    this.#observedHolder = lease.spec?.holderIdentity ?? '';
    if (version === this.#observedVersion) return;
    this.#observedVersion = version;
    this.#observedAtMs = this.#clock.nowMs();
  }

  async #release(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    try {
      const found = await client.get(leaseObjects, name, namespace, { timeoutMs: 2_000 });
      if (found?.spec?.holderIdentity !== identity) return;
      await client.update(
        leaseObjects,
        { ...found, spec: { ...found.spec, holderIdentity: '', leaseDurationSeconds: 1 } },
        { timeoutMs: 2_000 },
      );
    } catch (error) {
      this.#options.onError?.(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
