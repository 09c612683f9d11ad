/** Gateways: IST0101 of selectors and credentials, IST0138, IST0145, IST0161, IST0162. */
import { X509Certificate } from 'node:crypto';
import type { Gateway, Server } from '../../api/istio/gateway.ts';
import { overlaps } from '../../api/istio/rules/host-name.ts';
import { nearestWord } from '../../lib/nearest-word.ts';
import { matchesLabels } from '../model/selector.ts';
import { nameOf, type Tell } from './finding.ts';
import type { SecretObject, View } from './view.ts';

const selectorText = (selector: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(selector ?? {})
    .sort()
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

export function analyzeGateways(view: View, tell: Tell): void {
  const gateways = view.of('Gateway');
  for (const gateway of gateways) {
    if (view.options.isWhole) selectedWorkloads(view, gateway, tell);
    if (view.options.seesSecrets) credentials(view, gateway, tell);
  }
  conflicts(gateways, tell);
  duplicateCertificates(gateways, tell);
}

function selectedWorkloads(view: View, gateway: Gateway, tell: Tell): void {
  const { selector } = gateway.spec;
  if (!selector || Object.keys(selector).length === 0) return;
  const workloads = view.workloads(null, selector);
  if (workloads.length === 0) {
    tell('IST0101', gateway, 'spec.selector', `Referenced selector not found: "${selectorText(selector)}"`);
    return;
  }
  const services = view
    .of('Service')
    .filter(({ spec, metadata }) =>
      workloads.some(
        ({ namespace, labels }) =>
          namespace === (metadata.namespace ?? '') &&
          Object.keys(spec.selector ?? {}).length > 0 &&
          matchesLabels(spec.selector, labels),
      ),
    );
  if (services.length === 0) return;
  const targets = new Set(
    services.flatMap(({ spec }) => spec.ports?.flatMap(({ port, targetPort }) => [port, targetPort ?? port]) ?? []),
  );
  for (const [i, { port }] of (gateway.spec.servers ?? []).entries())
    if (!targets.has(port.number))
      tell(
        'IST0162',
        gateway,
        `spec.servers[${i}].port.number`,
        `The gateway is listening on a target port (port ${port.number}) that is not defined in the Service associated with its workload instances (Pod selector ${selectorText(selector)}). If you need to access the gateway port through the gateway Service, it will not be available.`,
      );
}

/** Secrets are read in the namespace of the gateway's workloads (Istio: "Secure Gateways"). */
function credentials(view: View, gateway: Gateway, tell: Tell): void {
  const places = new Set(view.workloads(null, gateway.spec.selector).map(({ namespace }) => namespace));
  if (places.size === 0) places.add(gateway.metadata.namespace ?? '');
  for (const [i, { tls }] of (gateway.spec.servers ?? []).entries()) {
    const names = tls?.credentialNames ?? (tls?.credentialName ? [tls.credentialName] : []);
    for (const name of names) {
      const at = `spec.servers[${i}].tls.${tls?.credentialNames ? 'credentialNames' : 'credentialName'}`;
      const found = [...places].flatMap((place) => view.find('Secret', place, name) ?? []);
      if (found.length === 0) {
        const known = view.of('Secret').filter(({ metadata }) => places.has(metadata.namespace ?? ''));
        const near = nearestWord(
          name,
          known.flatMap(({ metadata }) => metadata.name ?? []),
        );
        const elsewhere = view.of('Secret').find(({ metadata }) => metadata.name === name);
        const hint = near
          ? `; did you mean ${JSON.stringify(near)}?`
          : elsewhere
            ? `; ${nameOf(elsewhere)} is not in the gateway's namespace ${[...places].join(', ')}`
            : '';
        tell('IST0101', gateway, at, `Referenced credentialName not found: ${JSON.stringify(name)}${hint}`);
      } else if (!found.some(isCertificate))
        tell(
          'IST0161',
          gateway,
          at,
          `The credential referenced by the Gateway ${gateway.metadata.name} in namespace ${gateway.metadata.namespace ?? ''} is invalid, which can cause the traffic not to work as expected.`,
        );
    }
  }
}

function isCertificate({ data }: SecretObject): boolean {
  const chain = data?.['tls.crt'] ?? data?.cert;
  const key = data?.['tls.key'] ?? data?.key;
  if (!chain || !key) return false;
  try {
    return Date.parse(new X509Certificate(Buffer.from(chain, 'base64')).validTo) > Date.now();
  } catch {
    return false;
  }
}

const hostOf = (given: string) => given.slice(given.indexOf('/') + 1);

/** Of two servers that a request could be for, whose gateways share workloads, the older one answers. */
function conflicts(gateways: readonly Gateway[], tell: Tell): void {
  const bySelector = new Map<string, Gateway[]>();
  for (const gateway of gateways) {
    const key = selectorText(gateway.spec.selector);
    bySelector.set(key, [...(bySelector.get(key) ?? []), gateway]);
  }
  for (const [selector, same] of bySelector)
    for (const gateway of same)
      for (const [i, server] of (gateway.spec.servers ?? []).entries()) {
        const others = same.filter(
          (other) => other !== gateway && other.spec.servers?.some((each) => clash(server, each)),
        );
        if (others.length === 0) continue;
        tell(
          'IST0145',
          gateway,
          `spec.servers[${i}]`,
          `Conflict with gateways ${others.map(nameOf).join(',')} (workload selector ${selector}, port ${server.port.number}, hosts ${server.hosts.join(',')}).`,
        );
      }
}

function clash(a: Server, b: Server): boolean {
  if (a.port.number !== b.port.number || (a.bind ?? '') !== (b.bind ?? '')) return false;
  // Two protocols on one port cannot both be served, whatever the hosts.
  if (kindOf(a) !== kindOf(b)) return true;
  return a.hosts.some((one) => b.hosts.some((other) => same(one, other)));
}

const kindOf = ({ port, tls }: Server): string => {
  const protocol = port.protocol.toUpperCase();
  if (tls?.mode !== undefined || protocol === 'HTTPS' || protocol === 'TLS') return 'tls';
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB'].includes(protocol) ? 'http' : 'tcp';
};

/** A more specific host beside a wildcard is no conflict: each request has one that fits it best. */
const same = (a: string, b: string): boolean =>
  hostOf(a) === hostOf(b) && overlaps(hostOf(a), hostOf(b)) && placesMeet(a, b);

function placesMeet(a: string, b: string): boolean {
  const place = (given: string) => (given.includes('/') ? given.slice(0, given.indexOf('/')) : '*');
  return place(a) === '*' || place(b) === '*' || place(a) === place(b);
}

/** Browsers use one connection for all hosts that its certificate names (RFC 9113 §9.1.1). */
function duplicateCertificates(gateways: readonly Gateway[], tell: Tell): void {
  const byCertificate = new Map<string, Set<Gateway>>();
  for (const gateway of gateways)
    for (const { tls } of gateway.spec.servers ?? []) {
      const { credentialName, serverCertificate, privateKey } = tls ?? {};
      const name = credentialName || (serverCertificate ? `${serverCertificate} ${privateKey ?? ''}` : '');
      if (name === '') continue;
      const key = `${selectorText(gateway.spec.selector)} ${name}`;
      byCertificate.set(key, (byCertificate.get(key) ?? new Set()).add(gateway));
    }
  for (const using of byCertificate.values()) {
    if (using.size < 2) continue;
    const names = [...using].map(nameOf).sort();
    for (const gateway of using)
      tell(
        'IST0138',
        gateway,
        '',
        `Duplicate certificate in multiple gateways [${names.join(' ')}] may cause 404s if clients re-use HTTP2 connections.`,
      );
  }
}
