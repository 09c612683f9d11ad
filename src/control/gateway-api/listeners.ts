/** A Gateway's listeners: what each may serve, and what is wrong with it. https://gateway-api.sigs.k8s.io/reference/spec/#listener */
import { gatewayGroup, type RouteKind } from '../../api/gateway/common.ts';
import type { GatewayListener, KubernetesGateway } from '../../api/gateway/gateway.ts';
import { type Fact, fails, holds } from './condition.ts';
import { groupOf, type View } from './view.ts';

export interface Listener {
  readonly gateway: KubernetesGateway;
  readonly listener: GatewayListener;
  readonly index: number;
  /** Routes of these kinds may be attached. */
  readonly kinds: readonly string[];
  readonly conditions: readonly Fact[];
  /** False: no route can be attached. */
  readonly isAccepted: boolean;
  /** False: it serves nothing as it is. */
  readonly isProgrammed: boolean;
  /** Secrets with its certificates, `namespace/name`. */
  readonly certificates: readonly string[];
}

const kindsByProtocol: Readonly<Record<string, readonly string[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
};

export function listenersOf(view: View, gateway: KubernetesGateway): Listener[] {
  const all = gateway.spec.listeners ?? [];
  return all.map((listener, index) => evaluated(view, gateway, listener, index, all));
}

function evaluated(
  view: View,
  gateway: KubernetesGateway,
  listener: GatewayListener,
  index: number,
  all: readonly GatewayListener[],
): Listener {
  const possible = kindsByProtocol[listener.protocol];
  const supported =
    possible === undefined
      ? fails('Accepted', 'UnsupportedProtocol', `protocol "${listener.protocol}" is not one of HTTP, HTTPS, TLS, TCP`)
      : null;
  const conflict = conflictOf(listener, all);
  const { kinds, fault: kindFault } = kindsOf(listener, possible ?? []);
  const { certificates, fault: certificateFault } = certificatesOf(view, gateway, listener);
  const fault = kindFault ?? certificateFault;
  const accepted =
    supported ?? (conflict === null ? holds('Accepted') : fails('Accepted', conflict.reason, conflict.message));
  const isAccepted = accepted.status === 'True';
  const isProgrammed = isAccepted && fault === null;
  return {
    gateway,
    listener,
    index,
    kinds,
    isAccepted,
    isProgrammed,
    certificates,
    conditions: [
      accepted,
      isProgrammed
        ? holds('Programmed')
        : fails('Programmed', 'Invalid', 'the listener serves nothing until its other conditions are well'),
      conflict ?? fails('Conflicted', 'NoConflicts', ''),
      fault ?? holds('ResolvedRefs'),
    ],
  };
}

function kindsOf({ allowedRoutes }: GatewayListener, possible: readonly string[]) {
  const asked = allowedRoutes?.kinds;
  if (!asked?.length) return { kinds: possible, fault: null };
  const isPossible = (kind: RouteKind) => groupOf(kind) === gatewayGroup && possible.includes(kind.kind);
  const others = asked.filter((kind) => !isPossible(kind)).map(({ kind }) => kind);
  return {
    kinds: asked.filter(isPossible).map(({ kind }) => kind),
    fault:
      others.length === 0
        ? null
        : fails('ResolvedRefs', 'InvalidRouteKinds', `routes of kind ${others.join(', ')} cannot be attached here`),
  };
}

/** TLS that both end here and go through may share a port with HTTPS, since the name in the handshake tells them apart. */
const layerOf = ({ protocol }: GatewayListener): string => (protocol === 'TLS' ? 'HTTPS' : protocol);

function conflictOf(listener: GatewayListener, all: readonly GatewayListener[]): Fact | null {
  for (const other of all) {
    if (other === listener || other.port !== listener.port) continue;
    if (layerOf(other) !== layerOf(listener))
      return {
        ...holds('Conflicted', 'ProtocolConflict'),
        message: `listener "${other.name}" has protocol ${other.protocol} on port ${other.port} as well`,
      };
    if ((other.hostname ?? '') === (listener.hostname ?? ''))
      return {
        ...holds('Conflicted', 'HostnameConflict'),
        message: `listener "${other.name}" has the same port and hostname`,
      };
  }
  return null;
}

function certificatesOf(view: View, { metadata }: KubernetesGateway, listener: GatewayListener) {
  const certificates: string[] = [];
  const none = (reason: string, message: string) => ({ certificates, fault: fails('ResolvedRefs', reason, message) });
  if (listener.protocol !== 'HTTPS' && listener.protocol !== 'TLS') return { certificates, fault: null };
  if (listener.tls?.mode === 'Passthrough') return { certificates, fault: null };
  const { namespace: own = '' } = metadata;
  if (!listener.tls?.certificateRefs?.length)
    return none('InvalidCertificateRef', 'tls.certificateRefs must name a Secret');
  for (const { group = '', kind = 'Secret', name, namespace = own } of listener.tls.certificateRefs) {
    const key = `${namespace}/${name}`;
    if (group !== '' || kind !== 'Secret')
      return none('InvalidCertificateRef', `${kind} "${key}": a certificate is in a Secret`);
    const from = { group: gatewayGroup, kind: 'Gateway', namespace: own };
    if (!view.grants.allows(from, { group: '', kind: 'Secret', namespace, name }))
      return none(
        'RefNotPermitted',
        `no ReferenceGrant of namespace ${namespace} lets Gateways of ${own} read Secret "${name}"`,
      );
    const secret = view.objects.secrets.get(key);
    if (!secret) return none('InvalidCertificateRef', `there is no Secret "${key}"`);
    if (secret.fault !== null) return none('InvalidCertificateRef', `Secret "${key}": ${secret.fault}`);
    certificates.push(key);
  }
  return { certificates, fault: null };
}
