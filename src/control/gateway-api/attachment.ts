/** What routes are attached to: listeners of Gateways, and Services of the mesh (GAMMA). https://gateway-api.sigs.k8s.io/reference/spec/#parentreference */
import { gatewayGroup, type ParentReference } from '../../api/gateway/common.ts';
import type { RouteResource } from '../../api/gateway/routes.ts';
import type { Service } from '../model/service.ts';
import { type Fact, fails, holds } from './condition.ts';
import { servedHosts } from './hostname.ts';
import { selects } from './label-selector.ts';
import type { Listener } from './listeners.ts';
import { groupOf, keyOf, type View } from './view.ts';

export interface ListenerAttachment {
  readonly listener: Listener;
  /** Where the hostnames of both meet. */
  readonly hosts: readonly string[];
}

export interface Attachment {
  readonly parent: ParentReference;
  readonly accepted: Fact;
  readonly listeners: readonly ListenerAttachment[];
  /** Whose callers the route is for; a port of it, or 0 for all. */
  readonly service: { readonly service: Service; readonly port: number } | null;
}

const refused = (parent: ParentReference, reason: string, message: string): Attachment => ({
  parent,
  accepted: fails('Accepted', reason, message),
  listeners: [],
  service: null,
});

/** One for each parent that is ours; others are another controller's to answer. */
export function attachmentsOf(
  view: View,
  route: RouteResource,
  listenersByGateway: ReadonlyMap<string, readonly Listener[]>,
): Attachment[] {
  const attachments: Attachment[] = [];
  for (const parent of route.spec.parentRefs ?? []) {
    const kind = parent.kind ?? 'Gateway';
    const namespace = parent.namespace ?? route.metadata.namespace ?? '';
    if (groupOf(parent) === gatewayGroup && kind === 'Gateway') {
      const listeners = listenersByGateway.get(`${namespace}/${parent.name}`);
      if (listeners) attachments.push(toGateway(view, route, parent, listeners));
    } else if (groupOf(parent) === '' && kind === 'Service')
      attachments.push(toService(view, parent, `${parent.name}.${namespace}.svc.${view.objects.clusterDomain}`));
    else if (groupOf(parent) === 'networking.istio.io' && kind === 'ServiceEntry') {
      const entry = view.objects.serviceEntries.get(`${namespace}/${parent.name}`);
      attachments.push(toService(view, parent, entry?.spec.hosts?.[0] ?? ''));
    }
  }
  return attachments;
}

function toGateway(view: View, route: RouteResource, parent: ParentReference, all: readonly Listener[]): Attachment {
  const named = all.filter(
    ({ listener }) =>
      (parent.sectionName === undefined || parent.sectionName === listener.name) &&
      (parent.port === undefined || parent.port === listener.port),
  );
  if (named.length === 0) {
    const asked = [
      parent.sectionName === undefined ? '' : ` named "${parent.sectionName}"`,
      parent.port === undefined ? '' : ` on port ${parent.port}`,
    ].join('');
    return refused(parent, 'NoMatchingParent', `Gateway "${parent.name}" has no listener${asked}`);
  }
  const open = named.filter((listener) => lets(view, route, listener));
  if (open.length === 0)
    return refused(
      parent,
      'NotAllowedByListeners',
      `no listener of Gateway "${parent.name}" takes a ${route.kind} of namespace ${route.metadata.namespace}`,
    );
  const hostnames = 'hostnames' in route.spec ? route.spec.hostnames : undefined;
  const listeners = open
    .map((listener) => ({ listener, hosts: servedHosts(listener.listener.hostname, hostnames) }))
    .filter(({ hosts }) => hosts.length > 0);
  if (listeners.length === 0)
    return refused(
      parent,
      'NoMatchingListenerHostname',
      `no listener of Gateway "${parent.name}" serves ${(hostnames ?? []).join(', ')}`,
    );
  return { parent, accepted: holds('Accepted'), listeners, service: null };
}

function lets({ objects }: View, route: RouteResource, { gateway, listener, kinds, isAccepted }: Listener): boolean {
  if (!isAccepted || !kinds.includes(route.kind)) return false;
  const { from = 'Same', selector } = listener.allowedRoutes?.namespaces ?? {};
  const { namespace = '' } = route.metadata;
  if (from === 'All') return true;
  if (from === 'Same') return namespace === gateway.metadata.namespace;
  if (from !== 'Selector' || !selector) return false;
  return selects(selector, objects.namespaces.get(namespace)?.metadata.labels ?? {});
}

function toService(view: View, parent: ParentReference, host: string): Attachment {
  const service = view.serviceByHost.get(host);
  const what = `${parent.kind} "${parent.name}"`;
  if (!service) return refused(parent, 'NoMatchingParent', `there is no ${what}`);
  const { port = 0 } = parent;
  if (port !== 0 && !service.ports.some((each) => each.port === port))
    return refused(parent, 'NoMatchingParent', `${what} has no port ${port}`);
  return { parent, accepted: holds('Accepted'), listeners: [], service: { service, port } };
}

export interface AttachedRoute {
  readonly route: RouteResource;
  readonly attachments: readonly Attachment[];
}

/** How many routes each listener has, by Gateway and name. */
export function countByListener(attached: readonly AttachedRoute[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { attachments } of attached) {
    const names = new Set(
      attachments.flatMap(({ listeners }) => listeners.map(({ listener }) => listenerKey(listener))),
    );
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

export const listenerKey = ({ gateway, listener }: Listener): string => `${keyOf(gateway)}/${listener.name}`;
