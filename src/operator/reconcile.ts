/**
 * One look at an IstioInstallation: what should be, what is, the writes between the two, and its status. Level-based: it is
 * told a name and never what happened, so a missed event, a restart or a second run changes nothing.
 */
import type { IstioInstallation } from '../api/installation/istio-installation.ts';
import { resolve } from '../api/installation/profiles.ts';
import { validate } from '../api/validate.ts';
import type { KubeClient } from '../kube/client.ts';
import { type Clock, systemClock } from '../kube/clock.ts';
import { isNotFound } from '../kube/error.ts';
import { type ApiObject, type Deployment, keyOf, pods } from '../kube/object.ts';
import type { Outcome } from '../kube/work-queue.ts';
import { version } from '../lib/version.ts';
import { applyChanges, type Change, changesNeeded } from './apply.ts';
import { installations } from './installations.ts';
import { resourceOf, title } from './kinds.ts';
import { ownerLabel, uninstallFinalizer } from './labels.ts';
import type { LiveObjects } from './live-objects.ts';
import { podTrouble } from './pod-trouble.ts';
import { removeStep, wasAppliedByUs } from './removal.ts';
import { type Component, render } from './render.ts';
import { observe, type Reconciliation, waitingComponents } from './status.ts';

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ReconcilerOptions {
  client: KubeClient;
  live: LiveObjects;
  /** Every installation, from an informer. */
  installations: { get(name: string): IstioInstallation | undefined; values(): IstioInstallation[] };
  log: Log;
  clock?: Clock;
}

interface Rendering {
  revision: string;
  version: string;
  components: Component[];
}

/** How soon what is waited for is looked at again, where no watch tells of it. */
const lookAgainMs = 5_000;
const removalPollMs = 500;

export class Reconciler {
  readonly #client: KubeClient;
  readonly #live: LiveObjects;
  readonly #installations: ReconcilerOptions['installations'];
  readonly #log: Log;
  readonly #clock: Clock;
  /** By uid: what was rendered from the last valid spec. */
  readonly #lastGood = new Map<string, Rendering>();
  /** By uid: the status as last written, which the informer may not have shown yet. */
  readonly #lastStatus = new Map<string, string>();

  constructor({ client, live, installations, log, clock = systemClock }: ReconcilerOptions) {
    this.#client = client;
    this.#live = live;
    this.#installations = installations;
    this.#log = log;
    this.#clock = clock;
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Outcome> {
    const installation = this.#installations.get(name);
    if (!installation) return undefined;
    if (installation.metadata.deletionTimestamp) return this.#remove(installation, signal);
    if (!installation.metadata.finalizers?.includes(uninstallFinalizer)) {
      // Before the first object: from now on it cannot go without them.
      await this.#setFinalizers(
        installation,
        [...(installation.metadata.finalizers ?? []), uninstallFinalizer],
        signal,
      );
    }

    const problems = problemsOf(installation);
    const uid = installation.metadata.uid ?? name;
    if (problems === null) this.#lastGood.set(uid, this.#render(installation));
    const rendered = this.#lastGood.get(uid);
    if (!rendered) {
      await this.#report(installation, null, { outcome: 'invalid', message: problems ?? '' }, [], signal);
      return undefined;
    }
    const objects = rendered.components.flatMap((component) => component.objects);
    const needed = changesNeeded(this.#live, objects);
    const missing = missingAgain(installation, needed);
    // Told before it is mended, so that whoever watches learns of it however quick the repair is.
    if (missing.length > 0) await this.#report(installation, rendered, { outcome: 'applied' }, missing, signal);

    const {
      changes,
      problems: failures,
      conflicts,
    } = await applyChanges(this.#client, this.#live, name, needed, signal);
    for (const { object, reason } of changes)
      this.#log.info({ installation: name, object: title(object), reason }, 'applied');
    await this.#prune(name, objects, signal);

    let reconciliation: Reconciliation = { outcome: 'applied' };
    if (problems !== null)
      reconciliation = { outcome: 'invalid', message: `${problems}; the last valid spec stays in force` };
    else if (conflicts.length > 0) reconciliation = { outcome: 'conflict', message: firstOf(conflicts) };
    else if (failures.length > 0) reconciliation = { outcome: 'failed', message: firstOf(failures) };
    const waiting = waitingComponents(rendered.components, (object) => this.#live.get(object));
    const troubles = await this.#troubles(waiting, signal);
    await this.#report(installation, rendered, reconciliation, [], signal, troubles);

    if (failures.length > 0) throw new Error(firstOf(failures));
    // No watch tells of another installation's end or of pods.
    return conflicts.length > 0 || waiting.length > 0 ? { requeueAfterMs: lookAgainMs } : undefined;
  }

  /** What pods that do not become ready say, by component. */
  async #troubles(components: Component[], signal: AbortSignal): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const { name, namespace, objects } of components) {
      const deployment = objects.find(({ kind }) => kind === 'Deployment') as Deployment | undefined;
      if (!deployment) continue;
      const labels = Object.entries(deployment.spec?.selector.matchLabels ?? {});
      const labelSelector = labels.map(([key, value]) => `${key}=${value}`).join(',');
      const { items } = await this.#client.list(pods, { namespace, labelSelector, signal });
      const trouble = podTrouble(items);
      if (trouble) found.set(name, trouble);
    }
    return found;
  }

  /** As last rendered; after a restart from its spec, if that is valid. */
  #renderedFor(installation: IstioInstallation): Rendering | null {
    const { uid = '' } = installation.metadata;
    return this.#lastGood.get(uid) ?? (problemsOf(installation) === null ? this.#render(installation) : null);
  }

  #namespacesOf(installation: IstioInstallation): Set<string> {
    const { components = [] } = this.#renderedFor(installation) ?? {};
    return new Set([installation.spec?.namespace ?? 'istio-system', ...components.map(({ namespace }) => namespace)]);
  }

  #render({ metadata, spec = {} }: IstioInstallation): Rendering {
    const { name = '' } = metadata;
    const resolved = resolve(spec);
    const { ingressGateways = [], egressGateways = [] } = spec.components ?? {};
    const asked = new Set([...ingressGateways, ...egressGateways].map((gateway) => gateway.name));
    // A second revision shares the gateways that its profile brings; one that its author lists must be its own.
    const isTaken = ({ kind, name: component, objects }: Component) =>
      kind.endsWith('Gateway') &&
      !asked.has(component) &&
      objects.some((object) => this.#belongsToAnother(object, name));
    return {
      revision: resolved.revision,
      version: resolved.tag,
      components: render(name, resolved).filter((component) => !isTaken(component)),
    };
  }

  #belongsToAnother(object: ApiObject, name: string): boolean {
    const owner = this.#live.get(object)?.metadata?.labels?.[ownerLabel];
    return owner !== undefined && owner !== name && this.#installations.get(owner) !== undefined;
  }

  /** Removes what carries our label and is rendered no more: a component switched off, a renamed gateway. */
  async #prune(owner: string, objects: ApiObject[], signal: AbortSignal): Promise<void> {
    const wanted = new Set(objects.map((object) => `${object.kind} ${keyOf(object)}`));
    for (const object of this.#live.ownedBy(owner)) {
      if (wanted.has(`${object.kind} ${keyOf(object)}`) || object.metadata?.deletionTimestamp) continue;
      if (!(await wasAppliedByUs({ client: this.#client, signal }, object))) continue;
      const { name = '', namespace, uid } = object.metadata ?? {};
      await this.#client.delete(resourceOf(object), name, namespace, { propagation: 'Background', uid, signal });
      this.#log.info({ installation: owner, object: title(object) }, 'removed, as it is rendered no more');
    }
  }

  async #remove(installation: IstioInstallation, signal: AbortSignal): Promise<Outcome> {
    const { name = '', uid = '', finalizers = [] } = installation.metadata;
    if (!finalizers.includes(uninstallFinalizer)) return undefined;
    const others = this.#installations
      .values()
      .filter((other) => other.metadata.name !== name && !other.metadata.deletionTimestamp);
    const rendered = this.#renderedFor(installation);
    const waitingFor = await removeStep({
      client: this.#client,
      live: this.#live,
      owner: name,
      revision: installation.spec?.revision || 'default',
      namespaces: [...this.#namespacesOf(installation)],
      usedElsewhere: new Set(others.flatMap((other) => [...this.#namespacesOf(other)])),
      isLast: others.length === 0,
      nowMs: this.#clock.wallMs(),
      signal,
    });
    if (waitingFor !== null) {
      await this.#report(
        installation,
        rendered,
        { outcome: 'removing', message: `waiting for ${waitingFor}` },
        [],
        signal,
      );
      return { requeueAfterMs: removalPollMs };
    }
    await this.#setFinalizers(
      installation,
      finalizers.filter((each) => each !== uninstallFinalizer),
      signal,
    );
    this.#lastGood.delete(uid);
    this.#lastStatus.delete(uid);
    this.#log.info({ installation: name }, 'uninstalled');
    return undefined;
  }

  async #setFinalizers({ metadata }: IstioInstallation, finalizers: string[], signal: AbortSignal): Promise<void> {
    const { name = '', resourceVersion } = metadata;
    try {
      await this.#client.patch(
        installations,
        name,
        undefined,
        { metadata: { finalizers, resourceVersion } },
        { signal },
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #report(
    { metadata, status: previous, spec }: IstioInstallation,
    rendered: Rendering | null,
    reconciliation: Reconciliation,
    repaired: string[],
    signal: AbortSignal,
    troubles: ReadonlyMap<string, string> = new Map(),
  ): Promise<void> {
    const { name = '', uid = name, generation = 0 } = metadata;
    const last = this.#lastStatus.get(uid);
    const before = last ? (JSON.parse(last) as typeof previous) : previous;
    const status = observe({
      generation,
      revision: rendered?.revision ?? spec?.revision ?? 'default',
      version: rendered?.version ?? version,
      components: rendered?.components ?? [],
      live: (object) => (this.#belongsToAnother(object, name) ? undefined : this.#live.get(object)),
      reconciliation,
      troubles,
      repaired,
      previous: before,
      nowIso: new Date(this.#clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z'),
    });
    const text = JSON.stringify(status);
    if (text === JSON.stringify(before)) return;
    if (!last && sameStatus(status, previous)) {
      this.#lastStatus.set(uid, text);
      return;
    }
    try {
      await this.#client.patchStatus(installations, name, undefined, status, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    this.#lastStatus.set(uid, text);
  }
}

/** After a restart the written status comes back with its keys in the API server's order. */
function sameStatus(a: object, b: object | undefined): boolean {
  const sorted = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(sorted)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .sort(([x], [y]) => (x < y ? -1 : 1))
              .map(([key, inner]) => [key, sorted(inner)]),
          )
        : value;
  return b !== undefined && JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

/** A few say enough. */
function firstOf(messages: string[]): string {
  const more = messages.length - 3;
  return messages.slice(0, 3).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/** Every object carries the name as a label. */
const maxNameLength = 63;

/** The spec's errors in one line, null when it has none. */
function problemsOf(installation: IstioInstallation): string | null {
  const { name = '' } = installation.metadata;
  if (name.length > maxNameLength)
    return `metadata.name must have at most ${maxNameLength} characters, which is what a label can hold, has ${name.length}`;
  const { errors } = validate({ ...installation, status: undefined });
  return errors.length === 0 ? null : errors.map(({ path, message }) => `${path} ${message}`).join('; ');
}

/** What had been there: this generation was reported with all its components ready before. */
function missingAgain({ metadata, status }: IstioInstallation, needed: Change[]): string[] {
  const reconciled = status?.conditions?.find(({ type }) => type === 'Reconciled');
  if (reconciled?.status !== 'True' || reconciled.observedGeneration !== metadata.generation) return [];
  return needed.filter(({ reason }) => reason === 'missing').map(({ object }) => title(object));
}
