/** Profiles, and what a spec means once its profile and the defaults are laid under it. Pure. */
import { version } from '../../lib/version.ts';
import type { MeshConfig } from '../mesh-config.ts';
import type {
  InstallationGateway,
  InstallationProfile,
  InstallationServicePort,
  IstioInstallationSpec,
  KubernetesSettings,
} from './istio-installation.ts';

interface Profile {
  control: boolean;
  ingress: boolean;
  egress: boolean;
  meshConfig: MeshConfig;
  /** Istio's Helm values for the injector, over our own. */
  values?: Record<string, unknown>;
  controlRequests: Record<string, string>;
  gatewayRequests: Record<string, string>;
  ingressPorts: InstallationServicePort[];
}

const port = (name: string, number: number, targetPort = number): InstallationServicePort => ({
  name,
  port: number,
  targetPort,
  protocol: 'TCP',
});

/** Cloud load balancers check the health of the first port. */
const statusPort = port('status-port', 15_021);
const webPorts = [port('http2', 80, 8080), port('https', 443, 8443)];

const production: Profile = {
  control: true,
  ingress: true,
  egress: false,
  meshConfig: {},
  controlRequests: { cpu: '500m', memory: '512Mi' },
  gatewayRequests: { cpu: '100m', memory: '128Mi' },
  ingressPorts: [statusPort, ...webPorts],
};

/** The counterparts of Istio's profiles of the same names. */
export const profiles: Readonly<Record<InstallationProfile, Profile>> = {
  default: production,
  demo: {
    ...production,
    egress: true,
    meshConfig: { accessLogFile: '/dev/stdout', defaultConfig: { tracing: { sampling: 100 } } },
    controlRequests: { cpu: '10m', memory: '100Mi' },
    gatewayRequests: { cpu: '10m', memory: '40Mi' },
    values: { global: { proxy: { resources: { requests: { cpu: '10m', memory: '40Mi' } } } } },
    ingressPorts: [statusPort, ...webPorts, port('tcp', 31_400), port('tls', 15_443)],
  },
  minimal: { ...production, ingress: false },
  empty: { ...production, control: false, ingress: false },
};

export interface ResolvedGateway extends InstallationGateway {
  enabled: boolean;
  namespace: string;
  k8s: KubernetesSettings & { service: NonNullable<KubernetesSettings['service']> };
}

/** A spec with nothing left to default. */
export interface ResolvedInstallationSpec extends IstioInstallationSpec {
  profile: InstallationProfile;
  /** `default` is the revision whose objects have no suffix. */
  revision: string;
  namespace: string;
  version: string;
  hub: string;
  tag: string;
  components: {
    control: { enabled: boolean; k8s: KubernetesSettings };
    ingressGateways: ResolvedGateway[];
    egressGateways: ResolvedGateway[];
  };
  meshConfig: MeshConfig;
  values: Record<string, unknown>;
}

/** Lays one tree of values over another; lists and all else are replaced, as Helm does. */
export function laidOver(below: Record<string, unknown>, above: Record<string, unknown>): Record<string, unknown> {
  const isTree = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const result = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = result[key];
    result[key] = isTree(value) && isTree(under) ? laidOver(under, value) : value;
  }
  return result;
}

/**
 * Lays profile and defaults under a spec. The profile's gateways, `istio-ingressgateway` and `istio-egressgateway`, take the
 * settings that the spec lists under their names; other gateways that it lists come with them, enabled unless they say not.
 */
export function resolve(spec: IstioInstallationSpec): ResolvedInstallationSpec {
  const name = spec.profile ?? 'default';
  const profile = profiles[name];
  const namespace = spec.namespace || 'istio-system';
  const revision = spec.revision || 'default';
  const { control, ingressGateways = [], egressGateways = [] } = spec.components ?? {};
  const gateways = (direction: 'ingress' | 'egress', given: InstallationGateway[]): ResolvedGateway[] => {
    const ofProfile = `istio-${direction}gateway`;
    const listed = given.some((gateway) => gateway.name === ofProfile) ? given : [{ name: ofProfile }, ...given];
    return listed.map((gateway) => ({
      ...gateway,
      enabled: gateway.enabled ?? (gateway.name === ofProfile ? profile[direction] : true),
      namespace: gateway.namespace || namespace,
      k8s: {
        ...settings(gateway.k8s, profile.gatewayRequests),
        service: {
          type: direction === 'ingress' ? 'LoadBalancer' : 'ClusterIP',
          ports: direction === 'ingress' ? profile.ingressPorts : webPorts,
          ...gateway.k8s?.service,
        },
      },
    }));
  };
  return {
    ...spec,
    profile: name,
    revision,
    namespace,
    version: spec.version || version,
    hub: spec.hub || 'docker.io/lateen',
    tag: spec.tag || spec.version || version,
    components: {
      control: { enabled: control?.enabled ?? profile.control, k8s: settings(control?.k8s, profile.controlRequests) },
      ingressGateways: gateways('ingress', ingressGateways),
      egressGateways: gateways('egress', egressGateways),
    },
    values: laidOver(profile.values ?? {}, spec.values ?? {}),
    meshConfig: {
      rootNamespace: namespace,
      trustDomain: 'cluster.local',
      enablePrometheusMerge: true,
      ...profile.meshConfig,
      ...spec.meshConfig,
      defaultConfig: {
        discoveryAddress: `${revision === 'default' ? 'istiod' : `istiod-${revision}`}.${namespace}.svc:15012`,
        ...profile.meshConfig.defaultConfig,
        ...spec.meshConfig?.defaultConfig,
      },
    },
  };
}

function settings(given: KubernetesSettings = {}, requests: Record<string, string>): KubernetesSettings {
  return { ...given, resources: { ...given.resources, requests: { ...requests, ...given.resources?.requests } } };
}
