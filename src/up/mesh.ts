/** The control plane of `lateen up`: the one that `lateen control` runs, over a folder, with a CA made for the occasion. */
import { randomBytes } from 'node:crypto';
import { resolve } from '../api/installation/profiles.ts';
import { Authority, makeRoot } from '../control/ca/authority.ts';
import type { Identity } from '../control/ca/identity.ts';
import { servingNames } from '../control/ca/serving-certificate.ts';
import { createControlPlane } from '../control/serve/control-plane.ts';
import { FileSource } from '../control/watch/files.ts';
import { version } from '../lib/version.ts';
import { render } from '../operator/render.ts';
import { parseInjectionConfig } from '../webhook/config.ts';
import { inject } from '../webhook/inject.ts';
import { readPod } from '../webhook/pod.ts';
import { GrpcError } from '../xds/grpc/status.ts';
import type { HostAddresses } from './ground.ts';
import type { Manifest } from './plan.ts';

export interface LocalMesh {
  readonly port: number;
  /** The ingress gateway's Deployment and Service, as an installation has them. */
  gatewayManifests(): Manifest[];
  start(): Promise<void>;
  /** The pod with its proxy, as the webhook would make it. */
  inject(pod: Manifest): Manifest;
  /** What the pod finds below /etc and /run, by path. */
  filesOf(pod: Manifest, addresses: HostAddresses): Record<string, string>;
  /** Ends it at once; proxies that ask on are refused. */
  close(): Promise<void>;
}

const trustDomain = 'cluster.local';
const systemNamespace = 'istio-system';
const meshConfig = { accessLogFile: '/dev/stdout' };
const daySeconds = 86_400;

const silent = { info() {}, warn() {}, error: (facts: object, message: string) => console.error(message, facts) };

export async function createMesh({ folder, host }: { folder: string; host: string }): Promise<LocalMesh> {
  const authority = await Authority.of(await makeRoot('Lateen'), {
    defaultSeconds: daySeconds,
    maxSeconds: daySeconds,
  });
  const identities = new Map<string, Identity>();
  let closed = false;
  const source = new FileSource({
    folder,
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    onError: (error) => closed || console.error(error.message),
  });
  const control = await createControlPlane({
    source,
    authority: () => authority,
    trustDomain,
    // A token is a random word that was put into one pod; whoever shows it is that pod.
    reviewToken: async (token) => {
      const identity = identities.get(token);
      if (!identity) throw new GrpcError('unauthenticated', 'no pod of this mesh was given that token');
      return identity;
    },
    names: servingNames(systemNamespace, 'default'),
    identifier: 'lateen-up',
    clusterId: 'Kubernetes',
    version,
    log: silent,
  });
  const ports = await control.listen({ secure: { port: 15_012, host }, monitoring: [{ port: 15_014, host }] });
  const config = parseInjectionConfig({
    mesh: JSON.stringify(meshConfig),
    values: JSON.stringify({ sidecarInjectorWebhook: { initContainer: true } }),
  });

  return {
    port: ports.secure,
    gatewayManifests() {
      const spec = resolve({ profile: 'default' });
      const [gateway] = render('up', spec).filter(({ kind }) => kind === 'IngressGateway');
      const wanted = gateway.objects.filter(({ kind }) => kind === 'Deployment' || kind === 'Service');
      const mesh = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'istio', namespace: systemNamespace },
        data: { mesh: JSON.stringify(meshConfig) },
      };
      return [mesh, ...wanted] as unknown as Manifest[];
    },
    start: () => control.start(),
    async close() {
      closed = true;
      await control.close(0);
    },
    inject(pod) {
      if (pod.metadata.labels?.['sidecar.istio.io/inject'] === 'false') return pod;
      const { apiVersion, kind, metadata, spec, status } = pod;
      const injected = inject({ pod: readPod({ metadata, spec }), namespace: metadata.namespace ?? 'default' }, config);
      return { apiVersion, kind, status, ...injected } as unknown as Manifest;
    },
    filesOf(pod, addresses) {
      const { name, namespace = 'default', labels = {}, annotations = {} } = pod.metadata;
      const token = randomBytes(24).toString('base64url');
      identities.set(token, { trustDomain, namespace, serviceAccount: pod.spec.serviceAccountName ?? 'default' });
      return {
        '/etc/hosts': hosts({ name, namespace }, addresses),
        '/etc/resolv.conf': '',
        '/etc/istio/pod/labels': downward(labels),
        '/etc/istio/pod/annotations': downward(annotations),
        '/run/secrets/tokens/istio-token': token,
        '/run/secrets/istio/root-cert.pem': authority.roots,
      };
    },
  };
}

/** The pod's own name, and services by every name that a cluster's DNS would know, seen from its namespace. */
function hosts(from: { name: string; namespace: string }, addresses: HostAddresses): string {
  const { localhost, pod, controlPlane, services } = addresses;
  const lines = [
    `${localhost} localhost`,
    `${pod} ${from.name}`,
    `${controlPlane} istiod.${systemNamespace}.svc istiod.${systemNamespace}.svc.cluster.local`,
  ];
  for (const [service, address] of services) {
    const dot = service.indexOf('.');
    const short = service.slice(dot + 1) === from.namespace ? [service.slice(0, dot)] : [];
    lines.push([address, ...short, service, `${service}.svc`, `${service}.svc.cluster.local`].join(' '));
  }
  return `${lines.join('\n')}\n`;
}

/** The downward API's form: `key="value"` a line, the value quoted as Go does. */
function downward(map: Readonly<Record<string, string>>): string {
  return Object.entries(map)
    .sort()
    .map(([key, value]) => `${key}=${JSON.stringify(value)}\n`)
    .join('');
}
