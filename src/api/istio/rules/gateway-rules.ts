/** Rules across a Gateway's fields. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type { Gateway, Server, ServerTlsSettings } from '../gateway.ts';
import { isDnsLabel, isIpAddress, wildcardNameProblem } from './host-name.ts';
import { isHttpProtocol, isKnownProtocol, isTlsProtocol } from './protocol.ts';

const socketPrefix = 'unix://';

export function checkGateway({ metadata, spec }: Pick<Gateway, 'metadata' | 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  if (metadata.name && !isDnsLabel(metadata.name))
    report.error(['metadata', 'name'], `must be a DNS label (no dots), is ${show(metadata.name)}`, 'format');
  if (!spec.servers?.length) at.error(['servers'], 'needs at least one server', 'required');
  if (Object.keys(spec.selector ?? {}).length === 0) at.warning(['selector'], 'is empty and so selects every workload');
  const names = new Map<string, number>();
  each(at, 'servers', spec.servers, (server, there, i) => {
    const first = names.get(server.port.name);
    if (first !== undefined)
      there.error(['port', 'name'], `${show(server.port.name)} is used before, by server ${first}`, 'duplicate');
    else names.set(server.port.name, i);
  });
}

export function checkServer({ hosts, port, bind = '', tls }: Server, report: Report): void {
  if (hosts.length === 0) report.error(['hosts'], 'needs at least one host', 'required');
  each(report, 'hosts', hosts, checkGatewayHost);
  checkPort(report, port, bind);
  checkServerTls(below(report, 'tls'), tls);

  const { protocol } = port;
  if (!isKnownProtocol(protocol))
    report.error(
      ['port', 'protocol'],
      `must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is ${show(protocol)}`,
      'enum',
    );
  else if (isTlsProtocol(protocol)) {
    if (!tls) report.error(['tls'], `is required for protocol ${protocol}`, 'required');
  } else if (tls) {
    const onlyRedirects =
      [undefined, 'PASSTHROUGH', 'AUTO_PASSTHROUGH'].includes(tls.mode) &&
      !(tls.caCertificates || tls.privateKey || tls.serverCertificate);
    if (!isHttpProtocol(protocol)) report.error(['tls'], `cannot be set for protocol ${protocol}; use TLS`, 'conflict');
    else if (!onlyRedirects)
      report.error(['tls'], `cannot terminate TLS for protocol ${protocol}; use HTTPS`, 'conflict');
  }
  if (tls?.httpsRedirect && !isHttpProtocol(protocol))
    report.warning(['tls', 'httpsRedirect'], `does nothing for protocol ${protocol}`);
}

function checkPort(report: Report, port: Server['port'], bind: string): void {
  if (port.name === '') report.error(['port', 'name'], 'must not be empty', 'required');
  if (port.targetPort) report.error(['port', 'targetPort'], 'has no effect on gateways; remove it', 'conflict');
  if (bind.startsWith(socketPrefix)) {
    const path = bind.slice(socketPrefix.length);
    if (!/^(@.+|\/.*[^/])$/.test(path))
      report.error(['bind'], `must be the absolute path of a socket or "@NAME", is ${show(path)}`, 'format');
    if (port.number !== 0)
      report.error(['port', 'number'], `must be 0 for a Unix socket, is ${port.number}`, 'conflict');
    return;
  }
  if (port.number < 1 || port.number > 65_535)
    report.error(['port', 'number'], `must be 1–65535, is ${port.number}`, 'range');
  if (bind && !isIpAddress(bind))
    report.error(['bind'], `must be an IP address or unix://PATH, is ${show(bind)}`, 'format');
}

/** `HOST`, or `NAMESPACE/HOST` with `.` and `*` for namespaces. */
function checkGatewayHost(entry: string, report: Report): void {
  const slash = entry.indexOf('/');
  const host = entry.slice(slash + 1);
  if (slash >= 0) {
    const namespace = entry.slice(0, slash);
    if (namespace !== '*' && namespace !== '.' && !isDnsLabel(namespace))
      report.error([], `must be HOST or NAMESPACE/HOST, and ${show(namespace)} is no namespace`, 'format');
  }
  if (host === '*' || isIpAddress(host)) return;
  const problem = wildcardNameProblem(host);
  if (problem) report.error([], problem, 'format');
  else if (!host.includes('.')) report.error([], `must be a full host name, is ${show(host)}`, 'format');
  else if (host.includes('*') && !host.startsWith('*.'))
    report.error([], `may have a wildcard as its whole first label only, is ${show(host)}`, 'format');
}

const cipherSuites = new Set(
  (
    'ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 ' +
    'ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-SHA ECDHE-RSA-AES128-SHA ' +
    'ECDHE-ECDSA-AES256-SHA ECDHE-RSA-AES256-SHA AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA AES256-SHA DES-CBC3-SHA'
  ).split(' '),
);

function checkCipherSuites(report: Report, tls: ServerTlsSettings): void {
  const seen = new Set<string>();
  each(report, 'cipherSuites', tls.cipherSuites, (suite, at) => {
    // Anything that begins with a sign is an expression of OpenSSL's, such as "-SHA".
    if (/^[A-Za-z0-9]/.test(suite) && suite !== 'ALL' && !cipherSuites.has(suite))
      at.warning([], `${show(suite)} is not a known cipher suite and is ignored`);
    else if (seen.has(suite)) at.warning([], `${show(suite)} is there twice`, 'duplicate');
    seen.add(suite);
  });
  if (['TLSV1_0', 'TLSV1_1'].includes(tls.minProtocolVersion ?? '') && !tls.cipherSuites?.length)
    report.warning(['minProtocolVersion'], 'below TLSV1_2 works only with cipherSuites that such clients know');
}

const certificateFields = [
  'serverCertificate',
  'privateKey',
  'caCertificates',
  'tlsCertificates',
  'credentialName',
  'credentialNames',
] as const;

function checkServerTls(report: Report, tls: ServerTlsSettings | undefined): void {
  if (!tls) return;
  checkCipherSuites(report, tls);
  const mode = tls.mode ?? 'PASSTHROUGH';
  const isSet = (field: keyof ServerTlsSettings) => Boolean(Array.isArray(tls[field]) ? tls[field].length : tls[field]);
  const set = certificateFields.filter(isSet);

  if (mode === 'ISTIO_MUTUAL') {
    for (const field of set)
      report.error([field], "cannot be set in mode ISTIO_MUTUAL, which uses the mesh's own certificates", 'conflict');
    return;
  }
  if (mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH') {
    for (const field of [...set, ...(isSet('caCrl') ? (['caCrl'] as const) : [])])
      report.warning([field], `is not used in mode ${mode}`);
  }

  const sources = [
    ...(tls.serverCertificate && tls.privateKey ? ['serverCertificate'] : []),
    ...(['credentialName', 'credentialNames', 'tlsCertificates'] as const).filter(isSet),
  ];
  // The pairs that the schema's own rules tell of already.
  const told = isSet('credentialNames') && sources.length === 2 && !sources.includes('serverCertificate');
  if (sources.length > 1 && !told) report.error([sources[1]], `cannot be set together with ${sources[0]}`, 'conflict');

  const terminates = mode === 'SIMPLE' || mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';
  if (terminates && !isSet('credentialName') && !isSet('credentialNames')) checkCertificateFiles(report, tls, mode);
  if (terminates && tls.caCrl) {
    if (tls.credentialName)
      report.error(['caCrl'], 'cannot be set together with credentialName; put the list into the Secret', 'conflict');
    if (mode === 'SIMPLE')
      report.error(['caCrl'], 'cannot be used in mode SIMPLE, which asks clients for no certificate', 'conflict');
  }
}

function checkCertificateFiles(report: Report, tls: ServerTlsSettings, mode: string): void {
  if (mode !== 'SIMPLE' && !tls.caCertificates)
    report.error(['caCertificates'], `is required in mode ${mode}, unless credentialName is set`, 'required');
  const files = tls.tlsCertificates?.length
    ? tls.tlsCertificates.map((pair, i) => ({ pair, at: below(report, 'tlsCertificates', i) }))
    : [{ pair: tls, at: report }];
  for (const { pair, at } of files)
    for (const field of ['serverCertificate', 'privateKey'] as const)
      if (!pair[field]) at.error([field], `is required in mode ${mode}, unless credentialName is set`, 'required');
}
