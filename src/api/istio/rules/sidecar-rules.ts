/** Rules across a Sidecar's fields. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type { IstioEgressListener, IstioIngressListener, Sidecar, SidecarPort } from '../sidecar.ts';
import { isDnsLabel, isIpAddress, wildcardNameProblem } from './host-name.ts';
import { isKnownProtocol } from './protocol.ts';
import { checkConnectionPool } from './traffic-policy-rules.ts';

export function checkSidecar({ spec }: Pick<Sidecar, 'metadata' | 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  const { egress, ingress, inboundConnectionPool, outboundTrafficPolicy, workloadSelector } = spec;
  if (workloadSelector && Object.keys(workloadSelector.labels ?? {}).length === 0)
    at.warning(['workloadSelector'], 'has no labels and so selects every workload of the namespace');
  if (!egress?.length && !ingress?.length && !outboundTrafficPolicy && !inboundConnectionPool)
    at.error([], 'says nothing: needs egress, ingress, outboundTrafficPolicy or inboundConnectionPool', 'required');
  const ports = new Map<number, number>();
  each(at, 'ingress', ingress, (listener, there, i) => {
    checkIngress(there, listener);
    const { number = 0 } = listener.port;
    const before = ports.get(number);
    if (before !== undefined && number !== 0)
      there.error(['port', 'number'], `${number} is the port of ingress[${before}] as well`, 'duplicate');
    ports.set(number, i);
  });
  let catchAll: number | null = null;
  each(at, 'egress', egress, (listener, there, i) => {
    if (catchAll !== null)
      at.error(
        ['egress', catchAll],
        'without a port takes every port and so must be the last and the only one of its kind',
        'conflict',
      );
    catchAll = listener.port === undefined ? i : null;
    checkEgress(there, listener);
  });
  if (inboundConnectionPool) checkConnectionPool(below(at, 'inboundConnectionPool'), inboundConnectionPool);
  const proxy = outboundTrafficPolicy?.egressProxy;
  if (!proxy) return;
  if (outboundTrafficPolicy?.mode === 'REGISTRY_ONLY')
    at.error(['outboundTrafficPolicy', 'egressProxy'], 'can be set for mode ALLOW_ANY alone', 'conflict');
  const problem = wildcardNameProblem(proxy.host);
  if (problem || proxy.host.includes('*'))
    at.error(
      ['outboundTrafficPolicy', 'egressProxy', 'host'],
      problem ?? `must be one service, is ${show(proxy.host)}`,
      'format',
    );
}

function checkPort(report: Report, { number = 0, protocol = '' }: SidecarPort, bind: string): void {
  if (bind.startsWith('unix://')) {
    if (number !== 0) report.error(['number'], 'must be 0 for a Unix socket', 'conflict');
  } else if (number < 1 || number > 65_535) report.error(['number'], `must be 1–65535, is ${number}`, 'range');
  if (protocol === '') report.error(['protocol'], 'is required', 'required');
  else if (!isKnownProtocol(protocol))
    report.error(
      ['protocol'],
      `must be HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL, is ${show(protocol)}`,
      'enum',
    );
}

function checkBind(report: Report, bind: string, captureMode: string | undefined): void {
  if (bind === '') return;
  if (!bind.startsWith('unix://') && !isIpAddress(bind))
    report.error(['bind'], `must be an address or unix:// and a path, is ${show(bind)}`, 'format');
  if (bind.startsWith('unix://') && captureMode !== undefined && captureMode !== 'DEFAULT' && captureMode !== 'NONE')
    report.error(['captureMode'], 'must be DEFAULT or NONE for a Unix socket', 'conflict');
}

function checkIngress(
  report: Report,
  { bind = '', captureMode, connectionPool, defaultEndpoint, port, tls }: IstioIngressListener,
): void {
  checkBind(report, bind, captureMode);
  checkPort(below(report, 'port'), port, bind);
  if (connectionPool) checkConnectionPool(below(report, 'connectionPool'), connectionPool);
  if (defaultEndpoint !== undefined && defaultEndpoint !== '' && !isEndpoint(defaultEndpoint))
    report.error(
      ['defaultEndpoint'],
      `must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH, is ${show(defaultEndpoint)}`,
      'format',
    );
  if (tls?.mode === 'ISTIO_MUTUAL' || tls?.mode === 'AUTO_PASSTHROUGH')
    report.error(['tls', 'mode'], `cannot be ${tls.mode} here; mutual TLS of the mesh is PeerAuthentication's`, 'enum');
}

function isEndpoint(text: string): boolean {
  if (text.startsWith('unix://')) return text.length > 'unix://'.length;
  const port = /^(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})$/.exec(text)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

function checkEgress(report: Report, { bind = '', captureMode, hosts, port }: IstioEgressListener): void {
  if (port) checkPort(below(report, 'port'), port, bind);
  else if (bind !== '') report.error(['bind'], 'needs a port: without one, ports follow from the hosts', 'conflict');
  checkBind(report, bind, captureMode);
  if (hosts.length === 0) report.error(['hosts'], 'must not be empty; ~/* is none at all', 'required');
  each(report, 'hosts', hosts, (host, at) => {
    const slash = host.indexOf('/');
    const namespace = host.slice(0, Math.max(0, slash));
    const name = host.slice(slash + 1);
    if (slash < 0) {
      at.error([], `must be NAMESPACE/NAME, such as ./* or */api.example.com, is ${show(host)}`, 'format');
      return;
    }
    if (!['*', '.', '~'].includes(namespace) && !isDnsLabel(namespace))
      at.error([], `must begin with "*", ".", "~" or a namespace, is ${show(host)}`, 'format');
    if (namespace === '~' && name !== '*')
      at.error([], `must be ~/* when no service is meant, is ${show(host)}`, 'format');
    const problem = name === '*' ? null : wildcardNameProblem(name);
    if (problem) at.error([], problem, 'format');
  });
}
