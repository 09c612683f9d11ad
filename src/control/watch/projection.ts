/** What of each Kubernetes object the control plane keeps: what is left out costs no memory, and its changes cause no push. */
import type { ObjectMeta } from '../../api/meta.ts';
import type { ApiObject } from '../../kube/object.ts';
import type {
  CaCertificateObject,
  EndpointSliceObject,
  NamespaceObject,
  NodeObject,
  PodObject,
  SecretObject,
  ServiceObject,
} from '../model/objects.ts';
import { tlsSecretOf } from '../serve/gateway-secrets.ts';
import { certificateFault, readableCertificates } from './certificate.ts';

type Raw = ApiObject & { spec?: unknown; status?: unknown };

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

function keptAnnotations(annotations: Record<string, string> | undefined): Record<string, string> | undefined {
  if (!annotations) return undefined;
  const { [lastApplied]: _, ...kept } = annotations;
  return Object.keys(kept).length > 0 ? kept : undefined;
}

function metadataOf({ metadata = {} }: ApiObject): ObjectMeta {
  const { name, namespace, labels, annotations, uid, generation, creationTimestamp, ownerReferences } =
    metadata as ObjectMeta;
  return {
    name,
    namespace,
    labels,
    annotations: keptAnnotations(annotations),
    uid,
    generation,
    creationTimestamp,
    ownerReferences,
  };
}

export function serviceOf(object: Raw): ServiceObject {
  const { clusterIP, clusterIPs, type, externalName, selector, publishNotReadyAddresses, ports } = (object.spec ??
    {}) as ServiceObject['spec'];
  const spec = { clusterIP, clusterIPs, type, externalName, selector, publishNotReadyAddresses, ports };
  const status = object.status as { loadBalancer?: { ingress?: ServiceObject['ingress'] } } | undefined;
  const ingress = status?.loadBalancer?.ingress?.map(({ ip, hostname }) => ({ ip, hostname }));
  return { metadata: metadataOf(object), spec, ...(ingress?.length && { ingress }) };
}

/** The Secret itself, or what is told of one without what it holds. */
export function secretOf(object: Raw & { data?: { [key: string]: string }; fault?: string | null }): SecretObject {
  const { name, namespace } = metadataOf(object);
  return {
    metadata: { name, namespace },
    fault: object.fault === undefined ? certificateFault(tlsSecretOf(object.data)) : object.fault,
  };
}

export function caCertificateOf(object: Raw & { data?: { [key: string]: string } }): CaCertificateObject {
  const { name, namespace } = metadataOf(object);
  return { metadata: { name, namespace }, certificate: readableCertificates(object.data?.['ca.crt']) };
}

export function endpointSliceOf(object: Raw): EndpointSliceObject {
  const { addressType, ports, endpoints } = object as unknown as EndpointSliceObject;
  // The time of the last change is written on every one and read by nobody here.
  const { annotations: _, generation: __, ...metadata } = metadataOf(object);
  return { metadata, addressType, ports, endpoints };
}

export function podOf(object: Raw): PodObject {
  const { serviceAccountName, nodeName, hostNetwork, containers, initContainers } = (object.spec ??
    {}) as PodObject['spec'] & { initContainers?: NonNullable<PodObject['spec']['containers']> };
  const { podIP, podIPs, phase } = (object.status ?? {}) as NonNullable<PodObject['status']>;
  return {
    metadata: metadataOf(object),
    spec: {
      serviceAccountName,
      nodeName,
      hostNetwork,
      containers: [...(containers ?? []), ...(initContainers ?? [])].map(({ name, ports }) => ({ name, ports })),
    },
    status: { podIP, podIPs, phase },
  };
}

export const namespaceOf = (object: Raw): NamespaceObject => ({ metadata: metadataOf(object) });

export function nodeOf(object: Raw): NodeObject {
  const { name, labels } = metadataOf(object);
  return { metadata: { name, labels } };
}

/** Istio's kinds and the Gateway API's whole, but for their status: that is written by this very program. */
export function configurationOf<T extends ApiObject>(object: T & { spec?: unknown }): T {
  const { apiVersion, kind, spec } = object;
  return { apiVersion, kind, metadata: metadataOf(object), spec: spec ?? {} } as unknown as T;
}
