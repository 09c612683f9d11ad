/** Rules across a ServiceEntry's fields. */
import { below, each, eachEntry, type Report, show } from '../../schema/problem.ts';
import type { ServiceEntry, ServiceEntrySpec } from '../service-entry.ts';
import type { WorkloadEntrySpec } from '../workload-entry.ts';
import { checkExportTo } from './export-to.ts';
import { dnsNameProblem, isDnsLabel, isIpAddress, isIpOrCidr, wildcardNameProblem } from './host-name.ts';
import { checkLabels } from './label-rules.ts';
import { isHttpProtocol, isKnownProtocol, isTlsProtocol } from './protocol.ts';

export function checkServiceEntry({ metadata, spec }: Pick<ServiceEntry, 'metadata' | 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  const resolution = spec.resolution ?? 'NONE';
  each(at, 'hosts', spec.hosts, (host, there) => {
    const problem = host === '*' ? null : wildcardNameProblem(host);
    if (problem) there.error([], problem, 'format');
    else if (resolution !== 'DYNAMIC_DNS' && host !== '*' && host.includes('*') && !host.startsWith('*.'))
      there.warning([], `may have a wildcard as its whole first label only, is ${show(host)}`);
  });
  each(at, 'addresses', spec.addresses, (address, there) => {
    if (!isIpOrCidr(address))
      there.error([], `must be an address or a block such as 10.0.0.0/8, is ${show(address)}`, 'format');
  });
  checkPorts(at, spec);
  checkResolution(at, spec, resolution);
  if (resolution !== 'DYNAMIC_DNS')
    each(at, 'endpoints', spec.endpoints, (endpoint, there) => checkEndpoint(there, endpoint, spec, resolution));
  if (spec.workloadSelector && Object.keys(spec.workloadSelector.labels ?? {}).length === 0)
    at.warning(['workloadSelector'], 'has no labels and so selects every workload of the namespace');
  checkExportTo(at, spec.exportTo, metadata.namespace, { mayBeNoOne: true });
}

function checkPorts(report: Report, { hosts, ports, resolution = 'NONE' }: ServiceEntrySpec): void {
  each(report, 'ports', ports, ({ name, protocol = '' }, at) => {
    if (!isDnsLabel(name)) at.error(['name'], `must be a DNS label, is ${show(name)}`, 'format');
    if (protocol && !isKnownProtocol(protocol))
      at.error(
        ['protocol'],
        `must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is ${show(protocol)}`,
        'enum',
      );
    // Hosts on a plain TCP port cannot be told apart, unless each connection goes where it was going.
    else if (hosts.length > 1 && resolution !== 'NONE' && !isHttpProtocol(protocol) && !isTlsProtocol(protocol))
      at.error(
        ['protocol'],
        `must be HTTP or TLS because there are several hosts, is ${protocol || 'not set'}`,
        'conflict',
      );
    else if (resolution === 'DYNAMIC_DNS' && !['http', 'tls', 'grpc', 'http2'].includes(protocol.toLowerCase()))
      at.error(
        ['protocol'],
        `must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS, is ${protocol || 'not set'}`,
        'conflict',
      );
  });
}

function checkResolution(report: Report, spec: ServiceEntrySpec, resolution: string): void {
  const refuse = (field: 'addresses' | 'endpoints') => {
    if (spec[field]?.length) report.error([field], `cannot be set for resolution ${resolution}`, 'conflict');
  };
  switch (resolution) {
    case 'NONE':
      if (spec.workloadSelector) report.warning(['workloadSelector'], 'selects nothing for resolution NONE');
      break;
    case 'DNS':
    case 'DNS_ROUND_ROBIN':
      if (spec.endpoints?.length) break;
      each(report, 'hosts', spec.hosts, (host, at) => {
        if (host !== '*' && host.includes('*'))
          at.error(
            [],
            `cannot be resolved for resolution ${resolution}; name endpoints, or hosts without a wildcard`,
            'conflict',
          );
      });
      break;
    case 'DYNAMIC_DNS':
      refuse('addresses');
      refuse('endpoints');
      each(report, 'hosts', spec.hosts, (host, at) => {
        if (!host.startsWith('*'))
          at.error([], `must begin with a wildcard for resolution DYNAMIC_DNS, is ${show(host)}`, 'conflict');
      });
  }
}

function checkEndpoint(report: Report, endpoint: WorkloadEntrySpec, spec: ServiceEntrySpec, resolution: string): void {
  const { address = '' } = endpoint;
  const isSocket = address.startsWith('unix://');
  const mayBeName = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
  if (address === '' && endpoint.network)
    report.warning(['address'], `is not set; the endpoint is reached through network ${show(endpoint.network)}`);
  else if (mayBeName && isSocket)
    report.error(['address'], `cannot be a socket for resolution ${resolution}`, 'conflict');
  else if (address && !isSocket && !isIpAddress(address)) {
    const problem = mayBeName
      ? dnsNameProblem(address)
      : `must be an IP address for resolution ${resolution}, is ${show(address)}`;
    if (problem) report.error(['address'], problem, 'format');
  }
  if (isSocket && spec.ports?.length !== 1)
    report.error(['address'], 'can be a socket only of a ServiceEntry with exactly one port', 'conflict');
  const names = new Set(spec.ports?.map(({ name }) => name));
  eachEntry(report, 'ports', endpoint.ports, (name, _, at) => {
    if (!names.has(name)) at.error([], `${show(name)} is not the name of one of the ServiceEntry's ports`, 'conflict');
  });
  checkLabels(report, 'labels', endpoint.labels);
}
