/** DestinationRule: whom traffic goes to first, and whom when the first are ill. */
import { ask, dr, entry, type MeshCase, se, vs } from '../case.ts';

const setting = 'reference/config/networking/destination-rule/#LocalityLoadBalancerSetting';
const failover = 'tasks/traffic-management/locality-load-balancing/failover/';

/** By address; labels and locality of each workload. */
const workloads = (all: Readonly<Record<string, string>>): string =>
  Object.entries(all)
    .map(([address, rest], i) => entry(`w${i}`, `{address: ${address}, ${rest}}`))
    .join('') +
  se(
    'placed',
    '{hosts: [placed.internal], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: placed}}}',
  ) +
  vs(
    'placed',
    '{hosts: [placed.internal], http: [{retries: {attempts: 0}, route: [{destination: {host: placed.internal}}]}]}',
  );

const detection =
  'outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 300s, maxEjectionPercent: 100}';
const rule = (locality: string, detects = true): string =>
  dr(
    'placed',
    `{host: placed.internal, trafficPolicy: {${detects ? `${detection}, ` : ''}loadBalancer: {localityLbSetting: ${locality}}}}`,
  );

const placed = (labels: string, locality: string): string => `labels: {app: placed${labels}}, locality: ${locality}`;
const [a, b, c] = ['192.168.9.1', '192.168.9.2', '192.168.9.3'];
const here = { region: 'eu', zone: 'west', sub_zone: '' };

const first = (address: string) => ask('GET /', 'placed.internal', address);
/** The first of many answers is an error, which ejects whoever gave it; the others go on elsewhere. */
const then = (address: string) =>
  ask('GET /', 'placed.internal', null, { headers: { 'x-answers': '503,200' }, shares: { [address]: 1 } });

export const locality: readonly MeshCase[] = [
  {
    name: 'the nearest first, then the nearest that is well',
    source: failover,
    resources:
      workloads({ [a]: placed('', 'us/east'), [b]: placed('', 'eu/north'), [c]: placed('', 'eu/west') }) +
      rule('{enabled: true}'),
    locality: here,
    requests: [first(c), then(b), then(a)],
  },
  {
    name: 'a region fails over to the one that is named',
    source: failover,
    resources:
      workloads({ [a]: placed('', 'us/east'), [b]: placed('', 'asia/south'), [c]: placed('', 'eu/west') }) +
      rule('{failover: [{from: us, to: eu}, {from: eu, to: asia}]}'),
    locality: here,
    requests: [first(c), then(b), then(a)],
  },
  {
    name: 'failover by labels of the caller',
    source: setting,
    resources:
      workloads({
        [a]: placed(', version: v1', 'eu/west'),
        [b]: placed(', version: v2', 'us/east'),
        [c]: placed(', version: v2, team: blue', 'us/east'),
      }) + rule('{failoverPriority: [version, team]}'),
    labels: { app: 'client', version: 'v2', team: 'blue' },
    locality: here,
    requests: [first(c), then(b), then(a)],
  },
  {
    name: 'failover by labels of given values and by where the caller is',
    source: setting,
    resources:
      workloads({
        [a]: placed(', version: v1', 'us/east'),
        [b]: placed(', version: v1', 'eu/west'),
        [c]: placed(', version: v9', 'us/east'),
      }) + rule('{failoverPriority: [version=v9, topology.kubernetes.io/region]}'),
    labels: { app: 'client', version: 'v1' },
    locality: here,
    // Both others miss the first label: what follows it does not count.
    requests: [
      first(c),
      ask('GET /', 'placed.internal', null, { headers: { 'x-answers': '503,200' }, shares: { [a]: 0.5, [b]: 0.5 } }),
    ],
  },
  {
    name: 'labels first, then the region that is named',
    source: setting,
    resources:
      workloads({
        [a]: placed(', version: v1', 'eu/west'),
        [b]: placed(', version: v2', 'us/east'),
        [c]: placed(', version: v2', 'asia/south'),
      }) + rule('{failoverPriority: [version], failover: [{from: eu, to: asia}]}'),
    labels: { app: 'client', version: 'v2' },
    locality: here,
    requests: [first(c), then(b), then(a)],
  },
  {
    name: 'no failover without outlier detection',
    source: setting,
    resources:
      workloads({ [a]: placed('', 'eu/west'), [b]: placed('', 'us/east') }) +
      rule('{failover: [{from: eu, to: us}]}', false),
    locality: here,
    requests: [ask('GET /', 'placed.internal', null, { shares: { [a]: 0.5, [b]: 0.5 } })],
  },
  {
    name: 'no nearness where it is switched off',
    source: setting,
    resources: workloads({ [a]: placed('', 'eu/west'), [b]: placed('', 'us/east') }) + rule('{enabled: false}'),
    locality: here,
    requests: [ask('GET /', 'placed.internal', null, { shares: { [a]: 0.5, [b]: 0.5 } })],
  },
];
