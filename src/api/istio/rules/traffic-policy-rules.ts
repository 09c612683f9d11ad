/** A DestinationRule's traffic policies: of the rule, of a subset, of a port. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  ConsistentHashLb,
  LoadBalancerSettings,
  OutlierDetection,
  PortTrafficPolicy,
  TrafficPolicy,
} from '../destination-rule.ts';
import { dnsNameProblem, isIpAddress } from './host-name.ts';
import { checkLocalityLb, checkZoneAwareLb } from './locality-rules.ts';

type Common = Pick<PortTrafficPolicy, 'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'>;

export function checkTrafficPolicy(policy: TrafficPolicy, report: Report): void {
  if (Object.keys(policy).length === 0)
    report.error([], 'must not be empty; leave it out to keep the defaults', 'required');
  if (policy.tunnel && policy.proxyProtocol)
    report.error(['proxyProtocol'], 'cannot be set together with tunnel', 'conflict');
  checkCommon(report, policy);
  each(report, 'portLevelSettings', policy.portLevelSettings, (settings, at) => {
    if (settings.port?.number === undefined) at.error(['port', 'number'], 'is required', 'required');
    if (!(settings.connectionPool || settings.loadBalancer || settings.outlierDetection || settings.tls))
      at.error([], 'needs one of connectionPool, loadBalancer, outlierDetection and tls', 'required');
    checkCommon(at, settings);
  });
  checkTunnel(below(report, 'tunnel'), policy.tunnel);
}

function checkCommon(report: Report, policy: Common): void {
  checkConnectionPool(below(report, 'connectionPool'), policy.connectionPool);
  checkLoadBalancer(below(report, 'loadBalancer'), policy.loadBalancer, policy.outlierDetection !== undefined);
  checkOutlierDetection(below(report, 'outlierDetection'), policy.outlierDetection);
  checkClientTls(below(report, 'tls'), policy.tls);
}

export function checkConnectionPool(report: Report, pool: ConnectionPoolSettings | undefined): void {
  if (!pool) return;
  const { http, tcp } = pool;
  if (!http && !tcp) report.error([], 'needs http, tcp or both', 'required');
  const refuseNegative = (at: Report, field: string, value: number | undefined) => {
    if (value !== undefined && value < 0) at.error([field], `must not be negative, is ${value}`, 'range');
  };
  for (const field of [
    'http1MaxPendingRequests',
    'http2MaxRequests',
    'maxRequestsPerConnection',
    'maxRetries',
    'maxConcurrentStreams',
  ] as const)
    refuseNegative(below(report, 'http'), field, http?.[field]);
  refuseNegative(below(report, 'tcp'), 'maxConnections', tcp?.maxConnections);
  if (http?.h2UpgradePolicy === 'UPGRADE' && http.useClientProtocol)
    report.error(['http', 'useClientProtocol'], 'cannot be set together with h2UpgradePolicy UPGRADE', 'conflict');
  if (http?.http2KeepAlive)
    for (const field of ['interval', 'timeout'] as const)
      if (http.http2KeepAlive[field] === undefined)
        report.error(['http', 'http2KeepAlive', field], 'is required', 'required');
}

function checkLoadBalancer(report: Report, lb: LoadBalancerSettings | undefined, hasOutlierDetection: boolean): void {
  if (!lb) return;
  checkConsistentHash(below(report, 'consistentHash'), lb.consistentHash);
  if (lb.simple === 'LEAST_CONN')
    report.warning(['simple'], 'LEAST_CONN is deprecated; use LEAST_REQUEST', 'deprecated');
  if (lb.localityLbSetting && lb.zoneAwareLbSetting)
    report.error(['zoneAwareLbSetting'], 'cannot be set together with localityLbSetting', 'conflict');
  if (lb.warmupDurationSecs !== undefined) {
    if (lb.warmup) report.error(['warmupDurationSecs'], 'cannot be set together with warmup', 'conflict');
    else report.warning(['warmupDurationSecs'], 'is deprecated; use warmup.duration', 'deprecated');
  }
  if (lb.warmup?.aggression === 0) report.error(['warmup', 'aggression'], 'must be above 0, is 0', 'range');
  checkLocalityLb(below(report, 'localityLbSetting'), lb.localityLbSetting, hasOutlierDetection);
  checkZoneAwareLb(below(report, 'zoneAwareLbSetting'), lb.zoneAwareLbSetting, hasOutlierDetection);
}

/** Envoy's Maglev table: a prime below this. */
const maxMaglevTable = 5_000_011;

function checkConsistentHash(report: Report, hash: ConsistentHashLb | undefined): void {
  if (!hash) return;
  const { httpCookie, maglev, minimumRingSize, ringHash } = hash;
  if (httpCookie?.name === '') report.error(['httpCookie', 'name'], 'must not be empty', 'required');
  const names = new Set<string>();
  each(below(report, 'httpCookie'), 'attributes', httpCookie?.attributes, ({ name }, at) => {
    if (name === '') at.error(['name'], 'must not be empty', 'required');
    if (names.has(name)) at.error(['name'], `${show(name)} is there twice`, 'duplicate');
    names.add(name);
  });
  if (minimumRingSize) {
    if (maglev || ringHash)
      report.error(['minimumRingSize'], 'cannot be set together with ringHash or maglev', 'conflict');
    else report.warning(['minimumRingSize'], 'is deprecated; use ringHash.minimumRingSize', 'deprecated');
  }
  if (maglev && (!isPrime(maglev.tableSize ?? 0) || maglev.tableSize! >= maxMaglevTable))
    report.error(
      ['maglev', 'tableSize'],
      `must be a prime number below ${maxMaglevTable}, is ${maglev.tableSize ?? 'not set'}`,
      'range',
    );
}

function isPrime(n: number): boolean {
  if (n < 4) return n > 0;
  if (n % 2 === 0 || n >= maxMaglevTable) return false;
  for (let factor = 3; factor * factor <= n; factor += 2) if (n % factor === 0) return false;
  return true;
}

function checkOutlierDetection(report: Report, outlier: OutlierDetection | undefined): void {
  if (!outlier) return;
  if (outlier.consecutiveErrors)
    report.warning(
      ['consecutiveErrors'],
      'is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors',
      'deprecated',
    );
  if (!outlier.splitExternalLocalOriginErrors && outlier.consecutiveLocalOriginFailures)
    report.error(
      ['consecutiveLocalOriginFailures'],
      'counts nothing unless splitExternalLocalOriginErrors is true',
      'conflict',
    );
  for (const field of ['maxEjectionPercent', 'minHealthPercent'] as const) {
    const value = outlier[field];
    if (value !== undefined && (value < 0 || value > 100)) report.error([field], `must be 0–100, is ${value}`, 'range');
  }
}

function checkClientTls(report: Report, tls: ClientTlsSettings | undefined): void {
  if (!tls) return;
  const { mode = 'DISABLE', credentialName } = tls;
  const refuse = (field: keyof ClientTlsSettings, why: string) => {
    if (tls[field] !== undefined && tls[field] !== '') report.error([field], why, 'conflict');
  };
  const isOwnTls = mode === 'SIMPLE' || mode === 'MUTUAL';
  if (tls.insecureSkipVerify && isOwnTls) {
    for (const field of ['caCertificates', 'subjectAltNames'] as const)
      refuse(field, 'verifies nothing when insecureSkipVerify is true');
    if (mode === 'SIMPLE') refuse('credentialName', 'verifies nothing when insecureSkipVerify is true');
  }
  if (isOwnTls && credentialName) {
    for (const field of ['clientCertificate', 'caCertificates', 'privateKey', 'caCrl'] as const)
      refuse(field, 'cannot be set together with credentialName');
  } else if (mode === 'MUTUAL')
    for (const field of ['clientCertificate', 'privateKey'] as const)
      if (!tls[field]) report.error([field], 'is required in mode MUTUAL, unless credentialName is set', 'required');
}

function checkTunnel(report: Report, tunnel: TrafficPolicy['tunnel']): void {
  if (!tunnel) return;
  const { protocol, targetHost } = tunnel;
  if (protocol && protocol !== 'CONNECT' && protocol !== 'POST')
    report.error(['protocol'], `must be CONNECT or POST, is ${show(protocol)}`, 'enum');
  const problem = isIpAddress(targetHost) ? null : dnsNameProblem(targetHost);
  if (problem) report.error(['targetHost'], problem, 'format');
}
