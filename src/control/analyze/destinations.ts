/** Hosts, subsets, ports and gateways that resources refer to: IST0101, IST0112. */
import { nearestWord } from '../../lib/nearest-word.ts';
import { coversHost } from '../model/selector.ts';
import type { Analyzed, Tell } from './finding.ts';
import { nameOf } from './finding.ts';
import type { View } from './view.ts';
import { destinationsOf, gatewaysOf } from './virtual-service-parts.ts';

const meant = (word: string, known: Iterable<string>): string => {
  const near = nearestWord(word, known);
  return near === null || near === word ? '' : `; did you mean ${JSON.stringify(near)}?`;
};

/** How users write the hosts that there are, as seen from a namespace. */
function hostNames(view: View, namespace: string, given: string): string[] {
  return view.services.flatMap((service) => {
    if (given.includes('.')) return service.host;
    return service.native && service.namespace === namespace ? service.name : [];
  });
}

export function analyzeDestinations(view: View, tell: Tell): void {
  for (const resource of view.of('VirtualService')) {
    const namespace = resource.metadata.namespace ?? '';
    if (resource.spec.http?.some(({ delegate }) => delegate !== undefined)) analyzeDelegates(view, resource, tell);
    for (const { destination, path } of destinationsOf(resource)) {
      const host = view.host(destination.host, namespace);
      const service = view.service(host);
      if (!service) {
        if (view.options.isWhole)
          tell(
            'IST0101',
            resource,
            `${path}.host`,
            `Referenced host not found: ${JSON.stringify(destination.host)}${meant(destination.host, hostNames(view, namespace, destination.host))}`,
          );
        else if (destination.subset) analyzeSubset(view, resource, host, destination.subset, `${path}.subset`, tell);
        continue;
      }
      const ports = service.ports.map(({ port }) => port);
      const port = destination.port?.number;
      if (port !== undefined && ports.length > 0 && !ports.includes(port))
        tell(
          'IST0101',
          resource,
          `${path}.port.number`,
          `Referenced host:port not found: "${destination.host}:${port}"; its ports are ${ports.join(', ')}`,
        );
      else if (port === undefined && ports.length > 1 && service.native)
        tell(
          'IST0112',
          resource,
          `${path}.port`,
          `This VirtualService routes to a service "${host}" that exposes multiple ports [${ports.join(' ')}]. Specifying a port in the destination is required to disambiguate.`,
        );
      if (destination.subset) analyzeSubset(view, resource, host, destination.subset, `${path}.subset`, tell);
    }
  }
}

function analyzeSubset(view: View, resource: Analyzed, host: string, subset: string, path: string, tell: Tell): void {
  const rules = view
    .of('DestinationRule')
    .filter(({ spec, metadata }) => coversHost(view.host(spec.host, metadata.namespace ?? ''), host));
  const known = rules.flatMap(({ spec }) => spec.subsets?.map(({ name }) => name) ?? []);
  if (known.includes(subset) || (rules.length === 0 && !view.options.isWhole)) return;
  const hint =
    rules.length === 0
      ? '; no DestinationRule is for this host'
      : known.length === 0
        ? `; ${nameOf(rules[0])} has no subsets`
        : meant(subset, known) || `; there are ${known.join(', ')}`;
  tell('IST0101', resource, path, `Referenced host+subset in destinationrule not found: "${host}+${subset}"${hint}`);
}

function analyzeDelegates(view: View, resource: ReturnType<typeof virtualServices>[number], tell: Tell): void {
  for (const [i, { delegate }] of (resource.spec.http ?? []).entries()) {
    if (!delegate?.name) continue;
    const namespace = delegate.namespace || (resource.metadata.namespace ?? '');
    if (view.find('VirtualService', namespace, delegate.name)) continue;
    const names = view.of('VirtualService').flatMap(({ metadata }) => metadata.name ?? []);
    tell(
      'IST0101',
      resource,
      `spec.http[${i}].delegate.name`,
      `Referenced delegate VirtualService not found: "${namespace}/${delegate.name}"${meant(delegate.name, names)}`,
    );
  }
}

const virtualServices = (view: View) => view.of('VirtualService');

/** Gateways of VirtualServices, selectors and Secrets of Gateways. */
export function analyzeGatewayReferences(view: View, tell: Tell): void {
  for (const resource of view.of('VirtualService'))
    for (const { name, full, path } of gatewaysOf(resource)) {
      if (full === 'mesh') continue;
      const [namespace, gateway] = full.split('/');
      if (view.find('Gateway', namespace, gateway)) continue;
      const names = view
        .of('Gateway')
        .map((known) => (name.includes('/') ? nameOf(known) : (known.metadata.name ?? '')));
      tell(
        'IST0101',
        resource,
        path,
        `Referenced gateway not found: ${JSON.stringify(full)}${meant(name, ['mesh', ...names])}`,
      );
    }
}
