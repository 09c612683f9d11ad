/** Profiles, and what an installation's spec means once its profile and the defaults are laid under it. Pure. */

import { version as packageVersion } from '../../lib/version.ts';
import { type MeshConfig, resolveMeshConfig } from '../mesh-config.ts';
import type {
  InstallationGateway,
  InstallationProfile,
  InstallationServicePort,
  IstioInstallationSpec,
  KubernetesSettings,
} from './istio-installation.ts';

/** Settings of a component with everything set that has a default. */
export interface ResolvedSettings extends KubernetesSettings {
  replicas: number;
  resources: { requests: Record<string, string | number>; limits: Record<string, string | number> };
  env: NonNullable<KubernetesSettings['env']>;
  nodeSelector: Record<string, string>;
  tolerations: NonNullable<KubernetesSettings['tolerations']>;
  podAnnotations: Record<string, string>;
  podLabels: Record<string, string>;
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
}

export interface ResolvedGateway {
  name: string;
  namespace: string;
  enabled: boolean;
  direction: 'ingress' | 'egress';
  /** Of its pods and Service; Gateways select by them. */
  labels: Record<string, string>;
  k8s: ResolvedSettings & {
    service: NonNullable<KubernetesSettings['service']> & {
      type: 'ClusterIP' | 'NodePort' | 'LoadBalancer';
      ports: InstallationServicePort[];
    };
  };
}

/** An installation with nothing left to default. */
export interface ResolvedInstallation {
  profile: InstallationProfile;
  /** `default` is the revision whose objects have no suffix. */
  revision: string;
  namespace: string;
  version: string;
  hub: string;
  tag: string;
  /** `hub/lateen:tag`. */
  image: string;
  imagePullSecrets: string[];
  control: { enabled: boolean; name: string; k8s: ResolvedSettings };
  gateways: ResolvedGateway[];
  /** What goes into ConfigMap `istio`: the profile's under the user's, with the names that follow from the installation. */
  meshConfig: MeshConfig;
}

interface Profile {
  control: boolean;
  ingress: boolean;
  egress: boolean;
  meshConfig: MeshConfig;
  controlRequests: Record<string, string>;
  gatewayRequests: Record<string, string>;
  extraIngressPorts: InstallationServicePort[];
}

const production: Profile = {
  control: true,
  ingress: true,
  egress: false,
  meshConfig: {},
  controlRequests: { cpu: '500m', memory: '512Mi' },
  gatewayRequests: { cpu: '100m', memory: '128Mi' },
  extraIngressPorts: [],
};

export const profiles: Readonly<Record<InstallationProfile, Profile>> = {
  default: production,
  demo: {
    ...production,
    egress: true,
    meshConfig: { accessLogFile: '/dev/stdout', defaultConfig: { tracing: { sampling: 100 } } },
    controlRequests: { cpu: '10m', memory: '100Mi' },
    gatewayRequests: { cpu: '10m', memory: '40Mi' },
    extraIngressPorts: [
      { name: 'tcp', port: 31_400, targetPort: 31_400, protocol: 'TCP' },
      { name: 'tls', port: 15_443, targetPort: 15_443, protocol: 'TCP' },
    ],
  },
  minimal: { ...production, ingress: false },
  empty: { ...production, control: false, ingress: false },
};

const statusPort: InstallationServicePort = { name: 'status-port', port: 15_021, targetPort: 15_021, protocol: 'TCP' };
const httpPorts: InstallationServicePort[] = [
  { name: 'http2', port: 80, targetPort: 8080, protocol: 'TCP' },
  { name: 'https', port: 443, targetPort: 8443, protocol: 'TCP' },
];

const defaultHub = 'docker.io/lateen';

/** Lays profile and defaults under a spec. Gateways of the profile are matched with the spec's by name. */
export function resolveInstallation(spec: IstioInstallationSpec): ResolvedInstallation {
  const profileName = spec.profile ?? 'default';
  const profile = profiles[profileName];
  const namespace = spec.namespace || 'istio-system';
  const revision = spec.revision || 'default';
  const version = spec.version || packageVersion;
  const hub = spec.hub || defaultHub;
  const tag = spec.tag || version;
  const { control = {}, ingressGateways, egressGateways } = spec.components ?? {};
  const controlName = revision === 'default' ? 'istiod' : `istiod-${revision}`;

  return {
    profile: profileName,
    revision,
    namespace,
    version,
    hub,
    tag,
    image: `${hub}/lateen:${tag}`,
    imagePullSecrets: spec.imagePullSecrets ?? [],
    control: {
      enabled: control.enabled ?? profile.control,
      name: controlName,
      k8s: resolveSettings(control.k8s, profile.controlRequests),
    },
    gateways: [
      ...resolveGateways('ingress', profile.ingress, ingressGateways, profile, namespace),
      ...resolveGateways('egress', profile.egress, egressGateways, profile, namespace),
    ],
    meshConfig: {
      ...profile.meshConfig,
      rootNamespace: namespace,
      trustDomain: resolveMeshConfig().trustDomain,
      enablePrometheusMerge: true,
      ...spec.meshConfig,
      defaultConfig: {
        discoveryAddress: `${controlName}.${namespace}.svc:15012`,
        ...profile.meshConfig.defaultConfig,
        ...spec.meshConfig?.defaultConfig,
      },
    },
  };
}

function resolveSettings(given: KubernetesSettings = {}, requests: Record<string, string>): ResolvedSettings {
  return {
    ...given,
    replicas: given.replicas ?? given.hpa?.minReplicas ?? 1,
    resources: {
      requests: { ...requests, ...given.resources?.requests },
      limits: { ...given.resources?.limits },
    },
    env: given.env ?? [],
    nodeSelector: given.nodeSelector ?? {},
    tolerations: given.tolerations ?? [],
    podAnnotations: given.podAnnotations ?? {},
    podLabels: given.podLabels ?? {},
    imagePullPolicy: given.imagePullPolicy ?? 'IfNotPresent',
  };
}

function resolveGateways(
  direction: 'ingress' | 'egress',
  isInProfile: boolean,
  given: InstallationGateway[] = [],
  profile: Profile,
  namespace: string,
): ResolvedGateway[] {
  const ofProfile = `istio-${direction}gateway`;
  const all = given.some(({ name }) => name === ofProfile)
    ? given
    : [{ name: ofProfile, enabled: isInProfile }, ...given];
  return all.map((gateway) => {
    const isOfProfile = gateway.name === ofProfile;
    const ports = direction === 'ingress' ? [statusPort, ...httpPorts, ...profile.extraIngressPorts] : httpPorts;
    const service = gateway.k8s?.service;
    return {
      name: gateway.name,
      namespace: gateway.namespace || namespace,
      // A gateway that somebody lists is wanted, unless the profile's own is listed only to be changed.
      enabled: gateway.enabled ?? (isOfProfile ? isInProfile : true),
      direction,
      labels: { app: gateway.name, istio: isOfProfile ? `${direction}gateway` : gateway.name, ...gateway.labels },
      k8s: {
        ...resolveSettings(gateway.k8s, profile.gatewayRequests),
        service: {
          ...service,
          type: service?.type ?? (direction === 'ingress' ? 'LoadBalancer' : 'ClusterIP'),
          ports: (service?.ports ?? ports).map((port) => ({
            ...port,
            targetPort: port.targetPort ?? port.port,
            protocol: port.protocol ?? 'TCP',
          })),
        },
      },
    };
  });
}
