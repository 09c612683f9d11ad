import test, { type ExecutionContext } from 'ava';
import type { Outlier } from '../config/table.ts';
import { OutlierCounters } from '../telemetry/counters.ts';
import { clusterOf, endpointOf } from '../testing/tables.ts';
import { Host, hostKey } from './host.ts';
import { OutlierDetection } from './outlier.ts';

const defaults: Outlier = {
  consecutive5xx: 3,
  consecutiveGatewayFailure: 0,
  consecutiveLocalOrigin: 5,
  enforcingPercent: {
    Consecutive5xx: 100,
    ConsecutiveGatewayFailure: 100,
    ConsecutiveLocalOriginFailure: 100,
    SuccessRate: 100,
    LocalOriginSuccessRate: 100,
    FailurePercentage: 100,
    LocalOriginFailurePercentage: 100,
  },
  successRate: { minimumHosts: 5, requestVolume: 10, stdevFactor: 1.9 },
  failurePercentage: { minimumHosts: 5, requestVolume: 10, thresholdPercent: 85 },
  intervalMs: 1_000_000,
  baseEjectionMs: 1000,
  maxEjectionMs: 10_000,
  maxEjectionJitterMs: 0,
  maxEjectionPercent: 100,
  alwaysEjectsOne: false,
  splitExternalLocal: false,
  checksLetBack: true,
};

function detection(t: ExecutionContext, count: number, overrides: Partial<Outlier> = {}) {
  const cluster = clusterOf('a', []);
  const hosts = Array.from({ length: count }, (_, i) => {
    const endpoint = endpointOf(i + 1);
    return new Host(hostKey(endpoint), endpoint, cluster);
  });
  const counters = new OutlierCounters();
  const seen = { changes: 0 };
  const settings = { ...defaults, ...overrides };
  const outlier = new OutlierDetection(
    settings,
    () => hosts,
    () => seen.changes++,
    counters,
  );
  t.teardown(() => outlier.stop());
  const report = (host: Host, outcome: Parameters<OutlierDetection['report']>[1], times: number, now = 0) => {
    for (let i = 0; i < times; i++) outlier.report(host, outcome, now);
  };
  const out = () => hosts.filter((host) => host.ejectedUntilTick > 0).map(({ endpoint }) => endpoint.port);
  return { hosts, counters, seen, outlier, report, out };
}

test('a host that fails in a row is ejected for a growing time, and not too many are', (t) => {
  const { hosts, seen, outlier, report, out, counters } = detection(t, 3, {
    maxEjectionPercent: 34,
    intervalMs: 10_000,
  });
  report(hosts[0], 'error5xx', 2);
  report(hosts[0], 'success', 1);
  report(hosts[0], 'error5xx', 2);
  t.deepEqual(out(), []);
  report(hosts[0], 'error5xx', 1);
  t.deepEqual(out(), [1]);
  report(hosts[1], 'error5xx', 3);
  t.deepEqual(out(), [1]);
  t.is(counters.ejectionsOverflow, 1);
  t.is(counters.ejectionsActive, 1);
  outlier.review(999);
  t.deepEqual(out(), [1]);
  outlier.review(1000);
  t.deepEqual(out(), []);
  t.is(counters.ejectionsActive, 0);
  t.is(seen.changes, 2);
  report(hosts[0], 'error5xx', 3, 1000);
  outlier.review(2999);
  t.deepEqual(out(), [1]);
  outlier.review(3000);
  t.deepEqual(out(), []);
});

test('a percentage that allows none ejects none, unless one always may be', (t) => {
  const strict = detection(t, 3, { maxEjectionPercent: 10 });
  strict.report(strict.hosts[0], 'error5xx', 3);
  t.deepEqual(strict.out(), []);
  const lenient = detection(t, 3, { maxEjectionPercent: 10, alwaysEjectsOne: true });
  for (const host of lenient.hosts) lenient.report(host, 'error5xx', 3);
  t.deepEqual(lenient.out(), [1]);
});

test('what is detected is not always enforced', (t) => {
  const enforcingPercent = { ...defaults.enforcingPercent, Consecutive5xx: 0 };
  const { hosts, report, out, counters } = detection(t, 2, { enforcingPercent });
  report(hosts[0], 'error5xx', 6);
  t.deepEqual(out(), []);
  t.is(counters.ejectionsDetectedConsecutive5xx, 2);
  t.is(counters.ejectionsEnforcedConsecutive5xx, 0);
});

test('gateway failures count apart, and other errors interrupt them', (t) => {
  const { hosts, report, out } = detection(t, 2, { consecutive5xx: 100, consecutiveGatewayFailure: 3 });
  report(hosts[0], 'gatewayFailure', 2);
  report(hosts[0], 'error5xx', 1);
  report(hosts[0], 'timeout', 2);
  t.deepEqual(out(), []);
  report(hosts[0], 'connectFailure', 1);
  t.deepEqual(out(), [1]);
});

test('split: failures on the way count apart from answers, and only connections interrupt them', (t) => {
  const { hosts, report, out, counters } = detection(t, 2, { splitExternalLocal: true, consecutiveLocalOrigin: 3 });
  report(hosts[0], 'connectFailure', 2);
  report(hosts[0], 'success', 5);
  report(hosts[0], 'connected', 1);
  report(hosts[0], 'timeout', 2);
  t.deepEqual(out(), []);
  report(hosts[0], 'timeout', 1);
  t.deepEqual(out(), [1]);
  t.is(counters.ejectionsEnforcedConsecutiveLocalOriginFailure, 1);
});

test('a host that succeeds far less often than the others is ejected at the end of the interval', (t) => {
  const { hosts, outlier, report, out, counters } = detection(t, 10, {
    consecutive5xx: 0,
    failurePercentage: { minimumHosts: 100, requestVolume: 10, thresholdPercent: 85 },
  });
  for (const host of hosts.slice(0, 9)) report(host, 'success', 20);
  report(hosts[9], 'success', 10);
  report(hosts[9], 'error5xx', 10);
  outlier.review(1);
  t.deepEqual(out(), [10]);
  t.is(counters.ejectionsEnforcedSuccessRate, 1);
  t.is(hosts[0].outlier!.answers.rate, 100);
  t.is(hosts[9].outlier!.answers.rate, 50);
});

test('too few hosts or requests are not compared', (t) => {
  const few = detection(t, 4, { consecutive5xx: 0 });
  for (const host of few.hosts.slice(1)) few.report(host, 'success', 20);
  few.report(few.hosts[0], 'error5xx', 20);
  few.outlier.review(1);
  t.deepEqual(few.out(), []);
  const idle = detection(t, 6, { consecutive5xx: 0 });
  for (const host of idle.hosts) idle.report(host, 'error5xx', 9);
  idle.outlier.review(1);
  t.deepEqual(idle.out(), []);
});

test('a share of failures that is too high is enough, and connections have their own', (t) => {
  const { hosts, outlier, report, out, counters } = detection(t, 5, {
    consecutive5xx: 0,
    consecutiveLocalOrigin: 0,
    splitExternalLocal: true,
    failurePercentage: { minimumHosts: 4, requestVolume: 10, thresholdPercent: 85 },
    successRate: { minimumHosts: 100, requestVolume: 10, stdevFactor: 1.9 },
  });
  for (const host of hosts) report(host, 'success', 10);
  for (const host of hosts.slice(2)) report(host, 'connected', 10);
  report(hosts[0], 'error5xx', 90);
  report(hosts[1], 'connectFailure', 17);
  report(hosts[1], 'connected', 3);
  report(hosts[0], 'connected', 10);
  outlier.review(1);
  t.deepEqual(out(), [1, 2]);
  t.is(counters.ejectionsEnforcedFailurePercentage, 1);
  t.is(counters.ejectionsEnforcedLocalOriginFailurePercentage, 1);
  outlier.review(2);
  t.is(counters.ejectionsDetectedFailurePercentage, 1);
});

test('a health check that passes lets a host back', (t) => {
  const { hosts, outlier, report, out } = detection(t, 2);
  report(hosts[0], 'error5xx', 3);
  hosts[0].check = 'failing';
  outlier.foundWell(hosts[0], 1);
  t.deepEqual(out(), [1]);
  hosts[0].check = 'passing';
  outlier.foundWell(hosts[0], 1);
  t.deepEqual(out(), []);
  const stubborn = detection(t, 2, { checksLetBack: false });
  stubborn.report(stubborn.hosts[0], 'error5xx', 3);
  stubborn.hosts[0].check = 'passing';
  stubborn.outlier.foundWell(stubborn.hosts[0], 1);
  t.deepEqual(stubborn.out(), [1]);
});
