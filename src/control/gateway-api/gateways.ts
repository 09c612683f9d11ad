/** Gateways of our class: what each comes to as a whole, and the workloads that run it. https://gateway-api.sigs.k8s.io/api-types/gateway/ */
import type { GatewayAddress, GatewayClass, KubernetesGateway } from '../../api/gateway/gateway.ts';
import type { Labels } from '../model/selector.ts';
import { type Fact, fails, holds } from './condition.ts';
import { type Listener, listenersOf } from './listeners.ts';
import { controllerName, keyOf, type View } from './view.ts';

/** Istio's labels of what runs a Gateway. */
export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';
export const gatewayClassLabel = 'gateway.networking.k8s.io/gateway-class-name';

/** The GatewayClass that the control plane makes; Istio's name. */
export const defaultClassName = 'istio';

export interface OwnGateway {
  readonly gateway: KubernetesGateway;
  readonly listeners: readonly Listener[];
  /** Whose pods serve it. */
  readonly workloads: { readonly namespace: string; readonly labels: Labels };
  /** Null where an address names a Service that runs already (Istio: "Manual Deployment"). */
  readonly deployment: string | null;
  readonly addresses: readonly GatewayAddress[];
  readonly conditions: readonly Fact[];
}

export function ownClasses({ objects }: View): GatewayClass[] {
  return [...objects.gatewayClasses.values()].filter(({ spec }) => spec.controllerName === controllerName);
}

export function ownGateways(view: View): OwnGateway[] {
  const classes = new Set(ownClasses(view).map(({ metadata }) => metadata.name));
  // Istio's own is there before it is made: files hardly ever hold it.
  if (!view.objects.gatewayClasses.has(defaultClassName)) classes.add(defaultClassName);
  return [...view.objects.kubernetesGateways.values()]
    .filter(({ spec }) => classes.has(spec.gatewayClassName))
    .map((gateway) => evaluated(view, gateway));
}

function evaluated(view: View, gateway: KubernetesGateway): OwnGateway {
  const { name = '', namespace = '' } = gateway.metadata;
  const { addresses: asked = [], gatewayClassName, infrastructure } = gateway.spec;
  const listeners = listenersOf(view, gateway);
  const given = asked.filter(({ value }) => value);
  const byName = given.find(({ type = 'IPAddress' }) => type === 'Hostname')?.value;
  const [host, place = namespace] = (byName ?? '').split('.');
  const deployment = byName === undefined ? `${name}-${gatewayClassName}` : null;
  const service = view.objects.services.get(byName === undefined ? `${namespace}/${deployment}` : `${place}/${host}`);
  const workloads =
    byName === undefined
      ? { namespace, labels: { [gatewayNameLabel]: name } }
      : { namespace: place, labels: service?.spec.selector ?? {} };

  const unusual = given.find(({ type = 'IPAddress' }) => type !== 'IPAddress' && type !== 'Hostname');
  const invalid = listeners.filter(({ isAccepted }) => !isAccepted).map(({ listener }) => listener.name);
  const accepted = unusual
    ? fails('Accepted', 'UnsupportedAddress', `addresses of type "${unusual.type}" are not supported`)
    : infrastructure?.parametersRef
      ? fails('Accepted', 'InvalidParameters', 'spec.infrastructure.parametersRef is not supported')
      : invalid.length > 0
        ? {
            ...(invalid.length < listeners.length
              ? holds('Accepted', 'ListenersNotValid')
              : fails('Accepted', 'ListenersNotValid', '')),
            message: `not accepted: listeners ${invalid.join(', ')}`,
          }
        : holds('Accepted');
  const found = addressesOf(view, service);
  const wanted = given.filter(({ type = 'IPAddress' }) => type === 'IPAddress').map(({ value }) => value);
  const missing = wanted.filter((value) => !found.some((each) => each.value === value));
  const programmed =
    accepted.status === 'False'
      ? fails('Programmed', 'Invalid', 'the Gateway is not accepted')
      : missing.length > 0
        ? fails('Programmed', 'AddressNotUsable', `not assigned: ${missing.join(', ')}`)
        : found.length === 0
          ? fails(
              'Programmed',
              'AddressNotAssigned',
              noAddress(workloads.namespace, deployment ?? host, service !== undefined),
            )
          : holds('Programmed');
  return { gateway, listeners, workloads, deployment, addresses: found, conditions: [accepted, programmed] };
}

const noAddress = (namespace: string, name: string, exists: boolean): string =>
  exists
    ? `Service "${namespace}/${name}" has no address yet: the cluster's load balancer gives one`
    : `there is no Service "${namespace}/${name}" yet`;

/** A load balancer's addresses; of other types the name within the cluster (Istio does the same). */
function addressesOf({ objects }: View, service: ReturnType<View['objects']['services']['get']>): GatewayAddress[] {
  if (!service) return [];
  const { name, namespace } = service.metadata;
  if (service.spec.type !== 'LoadBalancer')
    return [{ type: 'Hostname', value: `${name}.${namespace}.svc.${objects.clusterDomain}` }];
  return (service.ingress ?? []).flatMap(({ ip, hostname }) =>
    ip ? { type: 'IPAddress', value: ip } : hostname ? { type: 'Hostname', value: hostname } : [],
  );
}

export const listenersByGateway = (gateways: readonly OwnGateway[]): Map<string, readonly Listener[]> =>
  new Map(gateways.map(({ gateway, listeners }) => [keyOf(gateway), listeners]));
