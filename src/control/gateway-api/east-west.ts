/** Routes whose parent is a Service: for its callers in the mesh (GAMMA), as VirtualServices. https://gateway-api.sigs.k8s.io/mesh/ */
import type { GrpcRouteResource, HttpRouteResource } from '../../api/gateway/routes.ts';
import type { HttpRoute, RouteDestination, VirtualService } from '../../api/istio/virtual-service.ts';
import { originOf, withOrigin } from '../model/origin.ts';
import { byAge, compare } from '../model/selector.ts';
import type { Service } from '../model/service.ts';
import type { AttachedRoute } from './attachment.ts';
import type { Rules } from './http-rules.ts';
import { destinationsOf } from './north-south.ts';
import { byPrecedence, type Entry } from './precedence.ts';
import type { View } from './view.ts';

interface Bound {
  service: Service;
  /** Namespace whose callers alone are concerned, of routes that are not of the Service's own (a "consumer" route); else null. */
  consumer: string | null;
  attached: Array<{ route: AttachedRoute['route']; port: number }>;
}

export function meshVirtualServices(
  view: View,
  attached: readonly AttachedRoute[],
  rules: ReadonlyMap<HttpRouteResource | GrpcRouteResource, Rules>,
): VirtualService[] {
  const bound = new Map<string, Bound>();
  for (const { route, attachments } of attached)
    for (const { service: parent } of attachments) {
      if (parent === null) continue;
      const own = route.metadata.namespace ?? '';
      const consumer = own === parent.service.namespace ? null : own;
      const key = `${parent.service.host} ${consumer ?? ''}`;
      const entry: Bound = bound.get(key) ?? { service: parent.service, consumer, attached: [] };
      entry.attached.push({ route, port: parent.port });
      bound.set(key, entry);
    }
  return [...bound].sort(([a], [b]) => compare(a, b)).map(([, each]) => virtualServiceOf(view, each, rules));
}

function virtualServiceOf(
  view: View,
  { service, consumer, attached }: Bound,
  rules: ReadonlyMap<HttpRouteResource | GrpcRouteResource, Rules>,
): VirtualService {
  const oldest = attached.map(({ route }) => route).sort(byAge)[0];
  const http: HttpRoute[] = [];
  const tcp: NonNullable<VirtualService['spec']['tcp']> = [];
  const tls: NonNullable<VirtualService['spec']['tls']> = [];
  for (const { port } of service.ports) {
    const here = attached.filter((each) => each.port === 0 || each.port === port);
    const entries: Entry[] = here.flatMap(({ route }) =>
      route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute' ? [...(rules.get(route)?.entries ?? [])] : [],
    );
    const streams = here
      .map(({ route }) => route)
      .filter((route) => route.kind === 'TCPRoute' || route.kind === 'TLSRoute');
    if (entries.length > 0) http.push(...entries.sort(byPrecedence).map((entry) => onPort(entry, port)));
    // A port that no route names goes where it did.
    else http.push({ match: [{ port }], route: [itself(service, port)] });
    const [stream] = streams.sort(byAge);
    const route: RouteDestination[] = stream ? destinationsOf(view, stream) : [itself(service, port)];
    if (stream?.kind === 'TLSRoute')
      tls.push({ match: [{ port, sniHosts: stream.spec.hostnames?.length ? stream.spec.hostnames : ['*'] }], route });
    else tcp.push({ match: [{ port }], route });
  }
  return withOrigin(
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: {
        name: `${service.host}~${consumer ?? 'mesh'}`,
        namespace: consumer ?? service.namespace,
        creationTimestamp: oldest.metadata.creationTimestamp,
      },
      spec: {
        hosts: [service.host],
        gateways: ['mesh'],
        exportTo: [consumer === null ? '*' : '.'],
        ...(http.length > 0 && { http }),
        ...(tls.length > 0 && { tls }),
        ...(tcp.length > 0 && { tcp }),
      },
    },
    oldest,
  );
}

const itself = ({ host }: Service, number: number): RouteDestination => ({ destination: { host, port: { number } } });

/** The same rule for one port. */
function onPort({ rule, match }: Entry, port: number): HttpRoute {
  const copy = { ...rule, match: [{ ...match, port }] };
  const origin = originOf(rule);
  return origin === null ? copy : withOrigin(copy, origin.owner, origin.path);
}
