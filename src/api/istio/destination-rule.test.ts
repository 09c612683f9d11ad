import { type Row, table } from '../testing/validation-table.ts';

const policy = (trafficPolicy: object) => ({ host: 'reviews', trafficPolicy });

const rows: Row[] = [
  ['the least', { host: 'reviews' }, []],
  [
    'subsets',
    { host: '*.shop.svc.cluster.local', subsets: [{ name: 'v1', labels: { version: 'v1' } }, { name: 'v2' }] },
    [],
  ],
  ['no host', {}, ['host: is required']],
  ['an address', { host: '10.0.0.1' }, ['host: must be a host name, is an address']],
  [
    'subset names',
    { host: 'a', subsets: [{ name: 'v1' }, { name: 'v1' }, { name: 'V_1' }, { name: '' }, {}] },
    ['subsets[4].name: is required'],
  ],
  [
    'subset names that are there',
    { host: 'a', subsets: [{ name: 'v1' }, { name: 'v1' }, { name: 'V_1' }, { name: '' }] },
    [
      'subsets[1].name: "v1" is used before, by subset 0',
      'subsets[2].name: must be a DNS label, is "V_1"',
      'subsets[3].name: must not be empty',
    ],
  ],
  [
    'subset policy',
    { host: 'a', subsets: [{ name: 'v1', labels: { 'a b': '' }, trafficPolicy: {} }] },
    [
      'subsets[0].trafficPolicy: must not be empty; leave it out to keep the defaults',
      'subsets[0].labels["a b"]: is not a key that a label can have',
    ],
  ],
  [
    'selector beyond its namespace',
    { host: 'a', workloadSelector: { matchLabels: {} }, exportTo: ['other'] },
    [
      'exportTo: must name no namespace but its own when workloadSelector is set',
      'warning workloadSelector: has no labels and so selects every workload of the namespace',
    ],
  ],
  ['connection pool', policy({ connectionPool: {} }), ['trafficPolicy.connectionPool: needs http, tcp or both']],
  [
    'connection pool below zero',
    policy({
      connectionPool: {
        tcp: { maxConnections: -1, idleTimeout: '0s' },
        http: {
          http2MaxRequests: -2,
          h2UpgradePolicy: 'UPGRADE',
          useClientProtocol: true,
          http2KeepAlive: { interval: '1s' },
        },
      },
    }),
    [
      'trafficPolicy.connectionPool.http.http2MaxRequests: must not be negative, is -2',
      'trafficPolicy.connectionPool.tcp.maxConnections: must not be negative, is -1',
      'trafficPolicy.connectionPool.http.useClientProtocol: cannot be set together with h2UpgradePolicy UPGRADE',
      'trafficPolicy.connectionPool.http.http2KeepAlive.timeout: is required',
    ],
  ],
  [
    'two balancers',
    policy({ loadBalancer: { simple: 'RANDOM', consistentHash: { useSourceIp: true } } }),
    [
      'trafficPolicy.loadBalancer.consistentHash: cannot be set together with simple; choose one of simple, consistentHash, backendUtilization',
    ],
  ],
  [
    'hash',
    policy({
      loadBalancer: {
        consistentHash: { httpHeaderName: 'a', useSourceIp: true, maglev: { tableSize: 100 }, ringHash: {} },
      },
    }),
    [
      'trafficPolicy.loadBalancer.consistentHash.useSourceIp: cannot be set together with httpHeaderName; choose one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName',
      'trafficPolicy.loadBalancer.consistentHash.maglev: cannot be set together with ringHash; choose one of ringHash, maglev',
      'trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: must be a prime number below 5000011, is 100',
    ],
  ],
  [
    'a prime table',
    policy({
      loadBalancer: { consistentHash: { httpCookie: { name: 'c', ttl: '0s' }, maglev: { tableSize: 65_537 } } },
    }),
    [],
  ],
  [
    'cookie',
    policy({
      loadBalancer: {
        consistentHash: { httpCookie: { name: '', attributes: [{ name: 'a' }, { name: 'a' }] }, minimumRingSize: 1 },
      },
    }),
    [
      'trafficPolicy.loadBalancer.consistentHash.httpCookie.name: must not be empty',
      'trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[1].name: "a" is there twice',
      'warning trafficPolicy.loadBalancer.consistentHash.minimumRingSize: is deprecated; use ringHash.minimumRingSize',
    ],
  ],
  [
    'old names',
    policy({
      loadBalancer: { simple: 'LEAST_CONN', warmupDurationSecs: '10s' },
      outlierDetection: { consecutiveErrors: 5 },
    }),
    [
      'warning trafficPolicy.loadBalancer.simple: LEAST_CONN is deprecated; use LEAST_REQUEST',
      'warning trafficPolicy.loadBalancer.warmupDurationSecs: is deprecated; use warmup.duration',
      'warning trafficPolicy.outlierDetection.consecutiveErrors: is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors',
    ],
  ],
  [
    'locality',
    policy({
      loadBalancer: {
        localityLbSetting: {
          distribute: [{ from: 'a/*', to: { 'a/b/*': 80, 'a/b/c': 10, 'b//c': 0 } }, { from: 'a/b' }],
          failover: [
            { from: 'a', to: 'a' },
            { from: 'a', to: 'b/c' },
          ],
        },
      },
    }),
    [
      'trafficPolicy.loadBalancer.localityLbSetting.failover: cannot be set together with distribute',
      'trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: must be another region than "a"',
      'trafficPolicy.loadBalancer.localityLbSetting.failover[1].to: must be a region, without zone or wildcard, is "b/c"',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to["b//c"]: must be 1–100, is 0',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: must have weights that add up to 100, has 90',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to["a/b/c"]: overlaps with "a/b/*"',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to["b//c"]: must be REGION/ZONE/SUBZONE, is "b//c"',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[1].to: must have weights that add up to 100, has 0',
      'trafficPolicy.loadBalancer.localityLbSetting.distribute[1].from: overlaps with "a/*"',
      'warning trafficPolicy.loadBalancer.localityLbSetting: fails over only with an outlierDetection, which tells that endpoints fail',
    ],
  ],
  [
    'outlier',
    policy({
      outlierDetection: {
        consecutive5xxErrors: 7,
        interval: '5m',
        baseEjectionTime: '15m',
        maxEjectionPercent: 101,
        minHealthPercent: -1,
        consecutiveLocalOriginFailures: 3,
        outlierDetectionHttpErrorCodes: [99],
      },
    }),
    [
      'trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[0]: must be at least 100, is 99',
      'trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: counts nothing unless splitExternalLocalOriginErrors is true',
      'trafficPolicy.outlierDetection.maxEjectionPercent: must be 0–100, is 101',
      'trafficPolicy.outlierDetection.minHealthPercent: must be 0–100, is -1',
    ],
  ],
  ['tls', policy({ tls: { mode: 'ISTIO_MUTUAL' } }), []],
  [
    'mutual tls',
    policy({ tls: { mode: 'MUTUAL' } }),
    [
      'trafficPolicy.tls.clientCertificate: is required in mode MUTUAL, unless credentialName is set',
      'trafficPolicy.tls.privateKey: is required in mode MUTUAL, unless credentialName is set',
    ],
  ],
  [
    'tls by two ways',
    policy({ tls: { mode: 'SIMPLE', credentialName: 'c', caCertificates: 'f', insecureSkipVerify: true } }),
    [
      'trafficPolicy.tls.caCertificates: verifies nothing when insecureSkipVerify is true',
      'trafficPolicy.tls.credentialName: verifies nothing when insecureSkipVerify is true',
      'trafficPolicy.tls.caCertificates: cannot be set together with credentialName',
    ],
  ],
  [
    'ports',
    policy({ portLevelSettings: [{ port: { number: 80 }, tls: { mode: 'DISABLE' } }, {}] }),
    [
      'trafficPolicy.portLevelSettings[1].port.number: is required',
      'trafficPolicy.portLevelSettings[1]: needs one of connectionPool, loadBalancer, outlierDetection and tls',
    ],
  ],
  [
    'tunnel',
    policy({ tunnel: { protocol: 'GET', targetHost: 'a_b', targetPort: 0 }, proxyProtocol: { version: 'V1' } }),
    [
      'trafficPolicy.tunnel.targetPort: must be 1–65535, is 0',
      'trafficPolicy.proxyProtocol: cannot be set together with tunnel',
      'trafficPolicy.tunnel.protocol: must be CONNECT or POST, is "GET"',
      'trafficPolicy.tunnel.targetHost: is no host name: "a_b" in "a_b" is not a DNS label',
    ],
  ],
];

table('networking.istio.io/v1beta1', 'DestinationRule', rows);
