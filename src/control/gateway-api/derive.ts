/**
 * The Kubernetes Gateway API's kinds as Istio's that say the same, and what is to be told to their authors. Pure. As Istio does it; from there
 * on both APIs take one way.
 *
 *   Gateway, its listeners ──► Gateway            ┐
 *   routes on a Gateway    ──► VirtualService     ├─► translation
 *   routes on a Service    ──► VirtualService     │
 *   BackendTLSPolicy       ──► DestinationRule    ┘
 *   all of them            ──► conditions, and the Deployments that Gateways ask for
 */
import type { ParentReference } from '../../api/gateway/common.ts';
import type { BackendTlsPolicy } from '../../api/gateway/policies.ts';
import type { GrpcRouteResource, HttpRouteResource, RouteResource } from '../../api/gateway/routes.ts';
import type { DestinationRule } from '../../api/istio/destination-rule.ts';
import type { Gateway } from '../../api/istio/gateway.ts';
import type { VirtualService } from '../../api/istio/virtual-service.ts';
import type { MeshObjects } from '../model/objects.ts';
import { originOf } from '../model/origin.ts';
import type { Service } from '../model/service.ts';
import { type AttachedRoute, attachmentsOf, countByListener } from './attachment.ts';
import { backendTls } from './backend-tls.ts';
import { backendOf } from './backends.ts';
import { type Fact, holds } from './condition.ts';
import { meshVirtualServices } from './east-west.ts';
import { listenersByGateway, type OwnGateway, ownClasses, ownGateways } from './gateways.ts';
import { httpRules, type Rules } from './http-rules.ts';
import { gatewayVirtualServices, istioGateways } from './north-south.ts';
import { keyOf, type View, viewOf } from './view.ts';

export interface RouteReport {
  readonly route: RouteResource;
  readonly parents: ReadonlyArray<{ readonly parent: ParentReference; readonly conditions: readonly Fact[] }>;
}

export interface PolicyReport {
  readonly policy: BackendTlsPolicy;
  /** Gateways with a route to what the policy speaks for. */
  readonly ancestors: readonly ParentReference[];
  readonly conditions: readonly Fact[];
}

export interface Derived {
  readonly gateways: readonly Gateway[];
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  /** Names of the GatewayClasses that are ours. */
  readonly classes: readonly string[];
  readonly ownGateways: readonly OwnGateway[];
  /** How many routes each listener has, by `namespace/gateway/listener`. */
  readonly attachedRoutes: ReadonlyMap<string, number>;
  readonly routes: readonly RouteReport[];
  readonly policies: readonly PolicyReport[];
}

const none: Derived = {
  gateways: [],
  virtualServices: [],
  destinationRules: [],
  classes: [],
  ownGateways: [],
  attachedRoutes: new Map(),
  routes: [],
  policies: [],
};

/** @param previous what says the same as in it keeps its identity */
export function derive(
  objects: MeshObjects,
  serviceByHost: ReadonlyMap<string, Service>,
  previous: Derived | null,
): Derived {
  const tables = [
    objects.kubernetesGateways,
    objects.httpRoutes,
    objects.grpcRoutes,
    objects.tlsRoutes,
    objects.tcpRoutes,
  ];
  if ([...tables, objects.gatewayClasses, objects.backendTlsPolicies].every(({ size }) => size === 0)) return none;
  const plain = viewOf(objects, serviceByHost);
  const tls = backendTls(plain);
  const view: View = { ...plain, unreachable: tls.unreachable };
  const gateways = ownGateways(view);
  const byGateway = listenersByGateway(gateways);
  const all: RouteResource[] = [
    ...objects.httpRoutes.values(),
    ...objects.grpcRoutes.values(),
    ...objects.tlsRoutes.values(),
    ...objects.tcpRoutes.values(),
  ];
  const attached = all
    .map((route): AttachedRoute => ({ route, attachments: attachmentsOf(view, route, byGateway) }))
    .filter(({ attachments }) => attachments.length > 0);
  // Callers in the mesh may send to any Service anyway: a route for them needs no grant (GEP-1426).
  const meshView: View = { ...view, grants: { allows: () => true } };
  const rules = rulesFrom(view, attached, ({ listeners }) => listeners.length > 0);
  const meshRules = rulesFrom(meshView, attached, ({ service }) => service !== null);
  return {
    gateways: kept(gateways.flatMap(istioGateways), previous?.gateways),
    virtualServices: kept(
      [
        ...gateways.flatMap((gateway) => gatewayVirtualServices(view, gateway, attached, rules)),
        ...meshVirtualServices(meshView, attached, meshRules),
      ],
      previous?.virtualServices,
    ),
    destinationRules: kept(tls.destinationRules, previous?.destinationRules),
    classes: ownClasses(view).map(({ metadata }) => metadata.name ?? ''),
    ownGateways: gateways,
    attachedRoutes: countByListener(attached),
    routes: attached.map(({ route, attachments }) => ({
      route,
      parents: attachments.map(({ parent, accepted, service }) => {
        const fault = service === null ? faultOf(view, route, rules) : faultOf(meshView, route, meshRules);
        return { parent, conditions: [accepted, fault ?? holds('ResolvedRefs')] };
      }),
    })),
    policies: tls.policies.map(({ policy, hosts, conditions }) => ({
      policy,
      ancestors: ancestorsOf(view, attached, hosts),
      conditions,
    })),
  };
}

type RulesOf = ReadonlyMap<HttpRouteResource | GrpcRouteResource, Rules>;

function rulesFrom(
  view: View,
  attached: readonly AttachedRoute[],
  concerns: (attachment: AttachedRoute['attachments'][number]) => boolean,
): RulesOf {
  const rules = new Map<HttpRouteResource | GrpcRouteResource, Rules>();
  for (const { route, attachments } of attached)
    if ((route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute') && attachments.some(concerns))
      rules.set(route, httpRules(view, route));
  return rules;
}

function faultOf(
  view: View,
  route: RouteResource,
  rules: ReadonlyMap<HttpRouteResource | GrpcRouteResource, Rules>,
): Fact | null {
  // A parent that the route is not attached to is told of its references all the same.
  if (route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute')
    return (rules.get(route) ?? httpRules(view, route)).fault;
  for (const rule of route.spec.rules ?? [])
    for (const reference of rule.backendRefs ?? []) {
      const { fault } = backendOf(view, reference, route);
      if (fault) return fault;
    }
  return null;
}

function ancestorsOf(view: View, attached: readonly AttachedRoute[], hosts: readonly string[]): ParentReference[] {
  const found = new Map<string, ParentReference>();
  for (const { route, attachments } of attached) {
    const references = (route.spec.rules ?? []).flatMap(({ backendRefs }) => backendRefs ?? []);
    const leads = references.some(
      ({ kind = 'Service', name, namespace = route.metadata.namespace }) =>
        kind === 'Service' && hosts.includes(`${name}.${namespace}.svc.${view.objects.clusterDomain}`),
    );
    if (!leads) continue;
    for (const { listener } of attachments.flatMap(({ listeners }) => listeners)) {
      const { name = '', namespace } = listener.gateway.metadata;
      found.set(keyOf(listener.gateway), {
        group: 'gateway.networking.k8s.io',
        kind: 'Gateway',
        name,
        ...(namespace && { namespace }),
      });
    }
  }
  return [...found.values()];
}

interface Made {
  readonly kind: string;
  readonly metadata: { namespace?: string; name?: string };
  readonly spec: object;
}

/** Whatever is made of a resource is kept by its identity, so a change must not make all of them anew. */
function kept<T extends Made>(made: readonly T[], before: readonly T[] | undefined): readonly T[] {
  if (!before) return made;
  const known = new Map(before.map((each) => [keyOf(each), each]));
  const list = made.map((each) => {
    const old = known.get(keyOf(each));
    return old && textOf(old) === textOf(each) ? old : each;
  });
  return list.length === before.length && list.every((each, i) => each === before[i]) ? before : list;
}

const texts = new WeakMap<object, string>();

/** All that the translation and its messages read, origins of rules among it. */
function textOf(made: Made): string {
  const known = texts.get(made);
  if (known !== undefined) return known;
  const rules = 'http' in made.spec && Array.isArray(made.spec.http) ? (made.spec.http as object[]) : [];
  const origins = rules.map((rule) => {
    const origin = originOf(rule);
    return origin && [origin.owner.kind, origin.owner.metadata.namespace, origin.owner.metadata.name, origin.path];
  });
  const text = JSON.stringify([made.metadata, made.spec, origins]);
  texts.set(made, text);
  return text;
}
