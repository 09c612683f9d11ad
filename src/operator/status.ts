/** `status` of an IstioInstallation, computed from the live objects. Pure. */
import type {
  ComponentStatus,
  InstallationState,
  IstioInstallationStatus,
} from '../api/installation/istio-installation.ts';
import type { Condition } from '../api/meta.ts';
import type { ApiObject, CustomResourceDefinition, Deployment, MutatingWebhookConfiguration } from '../kube/object.ts';
import { title } from './kinds.ts';
import type { Component } from './render.ts';

/** What the last attempt to apply came to. */
export type Reconciliation =
  | { outcome: 'applied' }
  | { outcome: 'invalid' | 'conflict' | 'failed' | 'removing'; message: string };

export interface Observation {
  generation: number;
  revision: string;
  version: string;
  /** As rendered now, or as last rendered from a valid spec; empty when there never was one. */
  components: Component[];
  /** The live twin of a rendered object. */
  live: (object: ApiObject) => ApiObject | undefined;
  reconciliation: Reconciliation;
  /** What keeps a component's pods from running, by the component's name. */
  troubles: ReadonlyMap<string, string>;
  /** Objects that had gone and were made again just now, as titles. */
  repaired: string[];
  previous: IstioInstallationStatus | undefined;
  nowIso: string;
}

export function observe(observation: Observation): IstioInstallationStatus {
  const { components, reconciliation, previous, generation, nowIso } = observation;
  const parts = components.map((component) => componentStatus(component, observation));
  const conditions = new Conditions(previous?.conditions ?? [], generation, nowIso);

  const unready = parts.filter((part) => part.status !== 'Ready');
  const failed = reconciliation.outcome !== 'applied' && reconciliation.outcome !== 'removing';
  conditions.set(
    'Reconciled',
    reconciliation.outcome === 'applied',
    reconciledReasons[reconciliation.outcome],
    messageOf(reconciliation),
  );

  const [reason, message] = readiness(observation, unready, parts.length);
  const isReady = reason === 'AllComponentsReady';
  conditions.set('Ready', isReady, reason, message);

  const wasReady = previous?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  const wasDegraded =
    previous?.conditions?.some(({ type, status }) => type === 'Degraded' && status === 'True') ?? false;
  const isUpgrading = previous?.observedGeneration !== generation && previous?.observedGeneration !== undefined;
  const isDegraded =
    !isReady && reconciliation.outcome !== 'removing' && (failed || wasDegraded || (wasReady && !isUpgrading));
  conditions.set(
    'Degraded',
    isDegraded,
    isDegraded ? reason : 'AsExpected',
    isDegraded ? message : 'nothing that worked is broken',
  );

  const state: InstallationState =
    reconciliation.outcome === 'removing'
      ? 'Removing'
      : failed
        ? 'Failed'
        : isReady
          ? 'Ready'
          : isDegraded
            ? 'Degraded'
            : 'Progressing';
  return {
    observedGeneration: generation,
    revision: observation.revision,
    version: observation.version,
    state,
    message: isReady && !failed ? '' : failed ? messageOf(reconciliation) : message,
    components: parts,
    conditions: conditions.list(),
  };
}

const reconciledReasons = {
  applied: 'Applied',
  invalid: 'InvalidSpec',
  conflict: 'Conflict',
  failed: 'ApplyFailed',
  removing: 'Removing',
} as const;

function messageOf(reconciliation: Reconciliation): string {
  return reconciliation.outcome === 'applied' ? 'every object is as rendered' : reconciliation.message;
}

function readiness(
  observation: Observation,
  unready: ComponentStatus[],
  count: number,
): [reason: string, message: string] {
  const { reconciliation, repaired } = observation;
  if (reconciliation.outcome === 'removing') return ['Removing', reconciliation.message];
  if (repaired.length > 0) return ['ComponentMissing', `${repaired.join(', ')} had been deleted and is being restored`];
  if (unready.length > 0) {
    const said = unready.map((part) => `${part.name}: ${part.message}`).join('; ');
    return [unready.some((part) => part.status === 'Pending') ? 'ComponentMissing' : 'ComponentNotReady', said];
  }
  // A refused change leaves what runs as it is, but a first one leaves nothing.
  if (count === 0 || reconciliation.outcome === 'conflict' || reconciliation.outcome === 'failed')
    return [reconciledReasons[reconciliation.outcome], messageOf(reconciliation)];
  return ['AllComponentsReady', `${count} of ${count} components are ready`];
}

function componentStatus(component: Component, observation: Observation): ComponentStatus {
  const status = statusOfObjects(component, observation.live);
  const trouble = status.status === 'Ready' ? undefined : observation.troubles.get(component.name);
  return trouble ? { ...status, message: `${status.message} (${trouble})` } : status;
}

/** Components that are not ready now. */
export function waitingComponents(components: Component[], live: Observation['live']): Component[] {
  return components.filter((component) => statusOfObjects(component, live).status !== 'Ready');
}

function statusOfObjects(component: Component, live: Observation['live']): ComponentStatus {
  const { kind, name, namespace, objects } = component;
  const base = { kind, name, namespace };
  const wanted = objects.find((object) => object.kind === 'Deployment');
  if (wanted) {
    const found = live(wanted) as Deployment | undefined;
    if (!found || found.metadata?.deletionTimestamp)
      return { ...base, status: 'Pending', replicas: 0, readyReplicas: 0, message: `${title(wanted)} is missing` };
    const state = deploymentState(found);
    if (state.status !== 'Ready') return { ...base, ...state };
    const unsigned = objects.filter(
      (object) => object.kind === 'MutatingWebhookConfiguration' && !isSigned(live(object)),
    );
    if (unsigned.length > 0)
      return {
        ...base,
        ...state,
        status: 'Progressing',
        message: `${title(unsigned[0])} has no caBundle from the control plane yet`,
      };
    return { ...base, ...state };
  }
  for (const object of objects) {
    const found = live(object);
    if (object.kind === 'CustomResourceDefinition' && found && !isEstablished(found as CustomResourceDefinition))
      return { ...base, status: 'Progressing', message: `${title(object)} is not established yet` };
  }
  return { ...base, status: 'Ready', message: '' };
}

function deploymentState({ metadata, spec, status = {} }: Deployment): Omit<ComponentStatus, 'kind' | 'name'> {
  const replicas = spec?.replicas ?? 1;
  const {
    availableReplicas = 0,
    updatedReplicas = 0,
    readyReplicas = 0,
    observedGeneration = 0,
    conditions = [],
  } = status;
  const counts = { replicas, readyReplicas };
  const failure = conditions.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
  if (failure) return { ...counts, status: 'Failed', message: failure.message ?? 'its pods cannot be created' };
  const stuck = conditions.find(({ type, status }) => type === 'Progressing' && status === 'False');
  if (stuck) return { ...counts, status: 'Failed', message: stuck.message ?? 'it makes no progress' };
  if (observedGeneration < (metadata?.generation ?? 0))
    return { ...counts, status: 'Progressing', message: 'is being rolled out' };
  if (updatedReplicas < replicas)
    return { ...counts, status: 'Progressing', message: `${updatedReplicas} of ${replicas} replicas are up to date` };
  if (availableReplicas < replicas)
    return { ...counts, status: 'Progressing', message: `${availableReplicas} of ${replicas} replicas are available` };
  return { ...counts, status: 'Ready', message: '' };
}

function isSigned(object: ApiObject | undefined): boolean {
  const { webhooks = [] } = (object ?? {}) as MutatingWebhookConfiguration;
  return webhooks.length > 0 && webhooks.every(({ clientConfig }) => Boolean(clientConfig.caBundle));
}

function isEstablished({ status }: CustomResourceDefinition): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') ?? false;
}

class Conditions {
  readonly #previous: Condition[];
  readonly #generation: number;
  readonly #nowIso: string;
  readonly #list: Condition[] = [];

  constructor(previous: Condition[], generation: number, nowIso: string) {
    this.#previous = previous;
    this.#generation = generation;
    this.#nowIso = nowIso;
  }

  set(type: string, holds: boolean, reason: string, message: string): void {
    const status = holds ? 'True' : 'False';
    const before = this.#previous.find((each) => each.type === type);
    const lastTransitionTime = before && before.status === status ? before.lastTransitionTime : this.#nowIso;
    // The API allows 32,768 characters.
    this.#list.push({
      type,
      status,
      reason,
      message: message.slice(0, 4_096),
      lastTransitionTime,
      observedGeneration: this.#generation,
    });
  }

  list(): Condition[] {
    return this.#list;
  }
}
