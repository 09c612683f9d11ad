/** The proxy behind a stream, as its node message and its credentials tell. */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Node } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { GrpcError } from '../../xds/grpc/status.ts';
import { type Identity, uriOf } from '../ca/identity.ts';

export interface ProxyNode {
  /** `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local` */
  id: string;
  kind: 'sidecar' | 'router' | 'waypoint' | 'ztunnel';
  ip: string;
  pod: string;
  namespace: string;
  labels: { [key: string]: string };
  serviceAccount: string;
  clusterId: string;
  /** Its version as it calls it. */
  version: string;
  metadata: JsonObject;
  /** `envoy`, `lateen`; ''. */
  userAgentName: string;
}

const kinds = new Set(['sidecar', 'router', 'waypoint', 'ztunnel']);

/** Throws `GrpcError` `invalidArgument` for a node id of another form. */
export function proxyOf(node: Node): ProxyNode {
  const parts = node.id.split('~');
  const [kind, ip, podAndNamespace, domain] = parts;
  const dot = podAndNamespace?.lastIndexOf('.') ?? -1;
  if (parts.length !== 4 || !kinds.has(kind) || dot <= 0 || !domain)
    throw new GrpcError('invalidArgument', `node id "${node.id}" is not of the form sidecar~IP~POD.NAMESPACE~DOMAIN`);
  const metadata = (node.metadata ?? {}) as JsonObject;
  const text = (key: string) => (typeof metadata[key] === 'string' ? metadata[key] : '');
  const labels = metadata.LABELS;
  return {
    id: node.id,
    kind: kind as ProxyNode['kind'],
    ip,
    pod: podAndNamespace.slice(0, dot),
    namespace: podAndNamespace.slice(dot + 1),
    labels: isRecordOfStrings(labels) ? labels : {},
    serviceAccount: text('SERVICE_ACCOUNT'),
    clusterId: text('CLUSTER_ID') || 'Kubernetes',
    version: text('ISTIO_VERSION'),
    metadata,
    userAgentName: node.userAgentName,
  };
}

/** A workload may have the configuration of its own namespace and service account only. Throws `GrpcError` `permissionDenied`. */
export function checkIdentity(proxy: ProxyNode, identity: Identity): void {
  const claimed = typeof proxy.metadata.NAMESPACE === 'string' ? proxy.metadata.NAMESPACE : proxy.namespace;
  const refuse = (what: string) =>
    new GrpcError('permissionDenied', `node ${proxy.id}: ${uriOf(identity)} may not ask for ${what}`);
  if (proxy.namespace !== identity.namespace) throw refuse(`namespace ${proxy.namespace}`);
  if (claimed !== identity.namespace) throw refuse(`namespace ${claimed}`);
  if (proxy.serviceAccount && proxy.serviceAccount !== identity.serviceAccount)
    throw refuse(`service account ${proxy.serviceAccount}`);
}

function isRecordOfStrings(value: unknown): value is { [key: string]: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === 'string')
  );
}
