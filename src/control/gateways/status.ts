/** Statuses of the Gateway API's kinds, as they should be from now on. Pure. https://gateway-api.sigs.k8s.io/concepts/guidelines/ "Status" */
import { gatewayGroup } from '../../api/gateway/common.ts';
import type { GatewayClass, KubernetesGateway } from '../../api/gateway/gateway.ts';
import type { BackendTlsPolicy } from '../../api/gateway/policies.ts';
import type { RouteResource } from '../../api/gateway/routes.ts';
import type { Condition } from '../../api/meta.ts';
import { listenerKey } from '../gateway-api/attachment.ts';
import { type Fact, holds } from '../gateway-api/condition.ts';
import type { Derived, PolicyReport, RouteReport } from '../gateway-api/derive.ts';
import { supportedFeatures } from '../gateway-api/features.ts';
import type { OwnGateway } from '../gateway-api/gateways.ts';
import { controllerName } from '../gateway-api/view.ts';

const maxMessageLength = 1_000;
/** The definition allows no more. */
const maxAncestors = 16;

/** What was said before keeps its time where its status is the same. */
function conditionsOf(
  facts: readonly Fact[],
  before: readonly Condition[] | undefined,
  generation: number | undefined,
  now: string,
): Condition[] {
  return facts.map(({ type, status, reason, message }) => {
    const known = before?.find((condition) => condition.type === type);
    return {
      type,
      status,
      reason,
      message: message.slice(0, maxMessageLength),
      lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
      ...(generation !== undefined && { observedGeneration: generation }),
    };
  });
}

export function classStatus(object: GatewayClass, now: string): GatewayClass['status'] {
  const generation = object.metadata.generation;
  const facts = [holds('Accepted', 'Accepted', 'Handled by the Lateen control plane')];
  return {
    conditions: conditionsOf(facts, object.status?.conditions, generation, now),
    supportedFeatures: supportedFeatures.map((name) => ({ name })),
  };
}

export function gatewayStatus(
  object: KubernetesGateway,
  { gateway, listeners, addresses, conditions }: OwnGateway,
  attachedRoutes: Derived['attachedRoutes'],
  now: string,
): KubernetesGateway['status'] {
  const { generation } = gateway.metadata;
  return {
    addresses: [...addresses],
    conditions: conditionsOf(conditions, object.status?.conditions, generation, now),
    listeners: listeners.map((each) => ({
      name: each.listener.name,
      supportedKinds: each.kinds.map((kind) => ({ group: gatewayGroup, kind })),
      attachedRoutes: attachedRoutes.get(listenerKey(each)) ?? 0,
      conditions: conditionsOf(
        each.conditions,
        object.status?.listeners?.find(({ name }) => name === each.listener.name)?.conditions,
        generation,
        now,
      ),
    })),
  };
}

/** Other controllers' parents stay as they are. Without a report ours are taken away. */
export function routeStatus(object: RouteResource, report: RouteReport | null, now: string): RouteResource['status'] {
  const before = object.status?.parents ?? [];
  const others = before.filter((parent) => parent.controllerName !== controllerName);
  const own = (report?.parents ?? []).map(({ parent, conditions }) => ({
    parentRef: parent,
    controllerName,
    conditions: conditionsOf(
      conditions,
      before.find((each) => each.controllerName === controllerName && textOf(each.parentRef) === textOf(parent))
        ?.conditions,
      report?.route.metadata.generation,
      now,
    ),
  }));
  return { parents: [...others, ...own] };
}

export function policyStatus(
  object: BackendTlsPolicy,
  report: PolicyReport | null,
  now: string,
): BackendTlsPolicy['status'] {
  const before = object.status?.ancestors ?? [];
  const others = before.filter((ancestor) => ancestor.controllerName !== controllerName);
  const own = (report?.ancestors ?? []).map((ancestorRef) => ({
    ancestorRef,
    controllerName,
    conditions: conditionsOf(
      report?.conditions ?? [],
      before.find((each) => each.controllerName === controllerName && textOf(each.ancestorRef) === textOf(ancestorRef))
        ?.conditions,
      report?.policy.metadata.generation,
      now,
    ),
  }));
  return { ancestors: [...others, ...own].slice(0, maxAncestors) };
}

const textOf = (reference: object): string => JSON.stringify(Object.entries(reference).sort());
