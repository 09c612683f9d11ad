import test from 'ava';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import { arbitraryOf } from '../../api/testing/arbitrary.ts';
import { type AnalysisOptions, analyze } from './analyze.ts';
import { type Analyzed, nameOf } from './finding.ts';

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{name: tcp-db, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: many, namespace: shop}
spec: {selector: {app: many}, ports: [{name: http, port: 80}, {name: grpc, port: 90}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews, version: v1}}
spec: {containers: [{name: reviews}, {name: istio-proxy}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway-1, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy}]}
---
apiVersion: v1
kind: Service
metadata: {name: ingress, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: v1}}]}
`;

const objectsOf = (text: string): Analyzed[] =>
  parseAllDocuments(text).flatMap((document) => (document.toJS() as Analyzed | null) ?? []);

function said(text: string, options: AnalysisOptions = {}): string[] {
  return analyze(objectsOf(`${shop}---${text}`), options).map(
    ({ code, resource, path, message }) => `${code} ${resource.kind} ${nameOf(resource)} ${path}: ${message}`,
  );
}

/** A header for an object of the shop, made after those that are there. */
const of = (kind: string, name: string, spec: string, group = 'networking.istio.io/v1') =>
  `\napiVersion: ${group}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop, creationTimestamp: "2026-02-01T00:00:00Z"}\nspec: ${spec}\n`;

const route = (destination: string) => `[{route: [{destination: {${destination}}}]}]`;

const cases: ReadonlyArray<readonly [title: string, resources: string, findings: readonly string[]]> = [
  [
    'nothing is wrong',
    of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: reviews, subset: v1')}}`),
    [],
  ],
  [
    'a typo in a host',
    of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: revews')}}`),
    [
      'IST0101 VirtualService shop/a spec.http[0].route[0].destination.host: Referenced host not found: "revews"; did you mean "reviews"?',
    ],
  ],
  [
    'an unknown subset',
    of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: reviews, subset: v2')}}`),
    [
      'IST0101 VirtualService shop/a spec.http[0].route[0].destination.subset: Referenced host+subset in destinationrule not found: "reviews.shop.svc.cluster.local+v2"; did you mean "v1"?',
    ],
  ],
  [
    'a subset of a service without a DestinationRule',
    of('VirtualService', 'a', `{hosts: [db], tcp: ${route('host: db, subset: v2')}}`),
    [
      'IST0101 VirtualService shop/a spec.tcp[0].route[0].destination.subset: Referenced host+subset in destinationrule not found: "db.shop.svc.cluster.local+v2"; no DestinationRule is for this host',
    ],
  ],
  [
    'a port that the service does not have',
    of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: reviews, port: {number: 9090}')}}`),
    [
      'IST0101 VirtualService shop/a spec.http[0].route[0].destination.port.number: Referenced host:port not found: "reviews:9090"; its ports are 9080',
    ],
  ],
  [
    'a port that must be chosen',
    of('VirtualService', 'a', `{hosts: [many], http: ${route('host: many')}}`),
    [
      'IST0112 VirtualService shop/a spec.http[0].route[0].destination.port: This VirtualService routes to a service "many.shop.svc.cluster.local" that exposes multiple ports [80 90]. Specifying a port in the destination is required to disambiguate.',
    ],
  ],
  [
    'a gateway that is not there',
    of('VirtualService', 'a', `{hosts: [shop.example.com], gateways: [shp], http: ${route('host: reviews')}}`),
    ['IST0101 VirtualService shop/a spec.gateways[0]: Referenced gateway not found: "shop/shp"; did you mean "shop"?'],
  ],
  [
    'a host that its gateway does not serve',
    of('VirtualService', 'a', `{hosts: [other.example.com], gateways: [shop], http: ${route('host: reviews')}}`),
    [
      'IST0132 VirtualService shop/a spec.gateways[0]: one or more host [other.example.com] defined in VirtualService shop/a not found in Gateway shop/shop.',
    ],
  ],
  [
    'a VirtualService that another shadows',
    `${of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: reviews')}}`)}---${of('VirtualService', 'b', `{hosts: [reviews.shop.svc.cluster.local], http: ${route('host: reviews')}}`)}`,
    [
      ...['a', 'b'].map(
        (name) =>
          `IST0109 VirtualService shop/${name} spec.hosts[0]: The VirtualServices shop/a,shop/b associated with mesh gateway define the same host reviews.shop.svc.cluster.local which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.`,
      ),
      'LAT0001 VirtualService shop/b spec.hosts[0]: has no effect in the mesh for host reviews.shop.svc.cluster.local: shop/a is older and takes it',
    ],
  ],
  [
    'a port whose name turns HTTP into TCP',
    of('VirtualService', 'a', `{hosts: [db], http: ${route('host: db')}}`),
    [
      'LAT0003 VirtualService shop/a spec.http: has no effect on db.shop.svc.cluster.local: none of its ports is HTTP (5432 (tcp-db)); name the port http, http-…, grpc or http2, or set appProtocol',
    ],
  ],
  [
    'subsets that callers within the mesh go past',
    of(
      'VirtualService',
      'a',
      `{hosts: [reviews.shop.svc.cluster.local], gateways: [shop], http: ${route('host: reviews, subset: v1')}}`,
    ),
    [
      'IST0132 VirtualService shop/a spec.gateways[0]: one or more host [reviews.shop.svc.cluster.local] defined in VirtualService shop/a not found in Gateway shop/shop.',
      'IST0140 VirtualService shop/a spec.hosts[0]: Subset in virtual service shop/a has no effect on requests within the mesh to reviews.shop.svc.cluster.local: add "mesh" to its gateways',
    ],
  ],
  [
    'a delegate that is not there',
    of('VirtualService', 'a', '{hosts: [shop.example.com], gateways: [shop], http: [{delegate: {name: b}}]}'),
    [
      'IST0101 VirtualService shop/a spec.http[0].delegate.name: Referenced delegate VirtualService not found: "shop/b"; did you mean "a"?',
    ],
  ],
  [
    'a rule that is never reached',
    of(
      'VirtualService',
      'a',
      `{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}, {name: second, route: [{destination: {host: reviews}}]}]}`,
    ),
    [
      'IST0130 VirtualService shop/a spec.http[1]: VirtualService rule http[1] not used (is never reached: route 0 before it takes everything).',
    ],
  ],
  [
    'a DestinationRule that is never used',
    of('DestinationRule', 'a', '{host: revews}'),
    [
      'LAT0002 DestinationRule shop/a spec.host: is never used: no service has the host "revews.shop.svc.cluster.local"; did you mean "reviews"?',
    ],
  ],
  [
    'a DestinationRule beside another',
    of(
      'DestinationRule',
      'b',
      '{host: reviews.shop.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: v1}}]}',
    ),
    [
      'LAT0002 DestinationRule shop/b spec.trafficPolicy: is never used: shop/reviews is older, for the same host, and sets it',
      'LAT0002 DestinationRule shop/b spec.subsets[0]: is never used: shop/reviews is older and has a subset v1 too',
    ],
  ],
  [
    'a subset without workloads',
    of('DestinationRule', 'b', '{host: reviews, subsets: [{name: v9, labels: {version: v9}}]}'),
    [
      'IST0127 DestinationRule shop/b spec.subsets[0].labels: No matching workloads for this resource with the following labels: version=v9 (subset v9)',
    ],
  ],
  [
    'TLS that verifies nobody',
    of(
      'DestinationRule',
      'b',
      '{host: db, trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 5432}, tls: {mode: SIMPLE}}]}}',
    ),
    [
      'IST0128 DestinationRule shop/b spec.trafficPolicy.tls: DestinationRule b in namespace shop has TLS mode set to SIMPLE but no caCertificates are set to validate server identity for host: db',
      'IST0129 DestinationRule shop/b spec.trafficPolicy.portLevelSettings[0].tls: DestinationRule b in namespace shop has TLS mode set to SIMPLE but no caCertificates are set to validate server identity for host: db at port 5432',
    ],
  ],
  [
    'a gateway port that another has',
    of(
      'Gateway',
      'b',
      '{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["shop.example.com"]}]}',
    ),
    [
      'IST0145 Gateway shop/shop spec.servers[0]: Conflict with gateways shop/b (workload selector istio=ingressgateway, port 80, hosts shop.example.com).',
      'IST0145 Gateway shop/b spec.servers[0]: Conflict with gateways shop/shop (workload selector istio=ingressgateway, port 80, hosts shop.example.com).',
    ],
  ],
  [
    'a gateway without workloads, credential or certificate of its own',
    `${of('Gateway', 'b', '{selector: {istio: nobody}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: cert}}]}')}---${of('Gateway', 'c', '{selector: {istio: nobody}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [b.example.com], tls: {mode: SIMPLE, credentialName: cert}}]}')}`,
    ['b', 'c']
      .flatMap((name) => [
        `IST0101 Gateway shop/${name} spec.selector: Referenced selector not found: "istio=nobody"`,
        `IST0101 Gateway shop/${name} spec.servers[0].tls.credentialName: Referenced credentialName not found: "cert"`,
      ])
      .concat(
        ['b', 'c'].map(
          (name) =>
            `IST0138 Gateway shop/${name} : Duplicate certificate in multiple gateways [shop/b shop/c] may cause 404s if clients re-use HTTP2 connections.`,
        ),
      ),
  ],
  [
    'a credential elsewhere, one that is none, and a port that no service has',
    `
apiVersion: v1
kind: Secret
metadata: {name: here, namespace: istio-system}
data: {tls.crt: AAAA, tls.key: AAAA}
---
apiVersion: v1
kind: Secret
metadata: {name: elsewhere, namespace: shop}
---${of('Gateway', 'b', '{selector: {istio: ingressgateway}, servers: [{port: {number: 8443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, credentialName: elsewhere}}, {port: {number: 80, name: https-b, protocol: HTTPS}, hosts: [b.example.com], tls: {mode: SIMPLE, credentialName: here}}]}')}`,
    [
      'IST0162 Gateway shop/b spec.servers[0].port.number: The gateway is listening on a target port (port 8443) that is not defined in the Service associated with its workload instances (Pod selector istio=ingressgateway). If you need to access the gateway port through the gateway Service, it will not be available.',
      'IST0101 Gateway shop/b spec.servers[0].tls.credentialName: Referenced credentialName not found: "elsewhere"; shop/elsewhere is not in the gateway\'s namespace istio-system',
      'IST0161 Gateway shop/b spec.servers[1].tls.credentialName: The credential referenced by the Gateway b in namespace shop is invalid, which can cause the traffic not to work as expected.',
      'IST0145 Gateway shop/shop spec.servers[0]: Conflict with gateways shop/b (workload selector istio=ingressgateway, port 80, hosts shop.example.com).',
      'IST0145 Gateway shop/b spec.servers[1]: Conflict with gateways shop/shop (workload selector istio=ingressgateway, port 80, hosts b.example.com).',
    ],
  ],
  [
    'ports without a protocol',
    `
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: shop}
spec: {ports: [{name: web, port: 8080, targetPort: 80}, {name: any, port: 81, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: example.com, ports: [{name: tcp, port: 80}]}
---${of('ServiceEntry', 'e', '{hosts: [db.example.com], ports: [{number: 5432, name: db, protocol: TCP}], resolution: DNS}')}`,
    [
      "IST0118 Service shop/plain spec.ports[0].name: Port name web (port: 8080, targetPort: 80) doesn't follow the naming convention of Istio port.",
      'IST0150 Service shop/outside spec.ports[0].name: Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP protocol from being forwarded correctly',
      'IST0134 ServiceEntry shop/e spec.ports[0]: ServiceEntry addresses are required for this protocol.',
    ],
  ],
  [
    'services that do not agree about a workload',
    `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}}}
---
apiVersion: v1
kind: Service
metadata: {name: one, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: shop}
spec: {selector: {app: web}, ports: [{name: tcp, port: 90, targetPort: 8080}]}
`,
    [
      'IST0116 Deployment shop/web : This deployment shop/web is associated with multiple services using port 8080 but different protocols: [shop/one shop/two]',
      'IST0137 Deployment shop/web : This deployment shop/web is associated with multiple services [shop/one shop/two] using targetPort "8080" but different ports: [80 90].',
    ],
  ],
  [
    'Sidecars of which one applies',
    ['a', 'b'].map((name) => of('Sidecar', name, '{egress: [{hosts: ["./*"]}]}')).join('---'),
    ['a', 'b'].map(
      (name) =>
        `IST0111 Sidecar shop/${name} : The Sidecars [a b] in namespace "shop" have no workload selector, which can lead to undefined behavior.`,
    ),
  ],
  [
    'Sidecars and Telemetries that select the same pod',
    [
      ...['a', 'b'].map((name) =>
        of('Sidecar', name, '{workloadSelector: {labels: {app: reviews}}, egress: [{hosts: ["./*"]}]}'),
      ),
      ...['a', 'b'].map((name) =>
        of('Telemetry', name, '{selector: {matchLabels: {app: reviews}}}', 'telemetry.istio.io/v1'),
      ),
    ].join('---'),
    [
      ...['a', 'b'].map(
        (name) =>
          `IST0110 Sidecar shop/${name} spec.workloadSelector.labels: The Sidecars [a b] in namespace "shop" select the same workload pod "shop/reviews-1", which can lead to undefined behavior.`,
      ),
      ...['a', 'b'].map(
        (name) =>
          `IST0159 Telemetry shop/${name} spec.selector.matchLabels: The Telemetries [a b] in namespace "shop" select the same workload pod "shop/reviews-1", which can lead to undefined behavior.`,
      ),
    ],
  ],
  [
    'a selector that selects nothing',
    of('AuthorizationPolicy', 'a', '{selector: {matchLabels: {app: revews}}, rules: [{}]}', 'security.istio.io/v1'),
    [
      'IST0127 AuthorizationPolicy shop/a spec.selector.matchLabels: No matching workloads for this resource with the following labels: app=revews',
    ],
  ],
  [
    'a Telemetry without providers',
    of('Telemetry', 'a', '{accessLogging: [{providers: []}]}', 'telemetry.istio.io/v1'),
    [
      'IST0157 Telemetry shop/a spec.accessLogging[0].providers: The Telemetry a in namespace "shop" with empty providers will be ignored.',
    ],
  ],
  [
    'namespaces and pods beside the mesh',
    `
apiVersion: v1
kind: Namespace
metadata: {name: frod}
---
apiVersion: v1
kind: Namespace
metadata: {name: both, labels: {istio-injection: enabled, istio.io/rev: canary}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec: {containers: [{name: a, securityContext: {runAsUser: 1337}}]}
`,
    [
      "IST0102 Namespace frod : The namespace is not enabled for Istio injection. Run 'kubectl label namespace frod istio-injection=enabled' to enable it, or 'kubectl label namespace frod istio-injection=disabled' to explicitly mark it as not needing injection.",
      'IST0123 Namespace both metadata.labels: The namespace has more than one type of injection labels [istio-injection istio.io/rev], which may lead to undefined behavior. Make sure only one injection label exists.',
      'IST0103 Pod shop/bare : The pod shop/bare is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.',
      'IST0144 Pod shop/bare spec: User ID (UID) 1337 is reserved for the sidecar proxy.',
    ],
  ],
  [
    'an EnvoyFilter',
    of(
      'EnvoyFilter',
      'a',
      '{configPatches: [{applyTo: HTTP_ROUTE, patch: {operation: ADD, value: {}}}, {applyTo: CLUSTER, patch: {operation: REPLACE, value: {}}}, {applyTo: HTTP_FILTER, match: {listener: {}}, patch: {operation: INSERT_BEFORE, value: {}}}]}',
      'networking.istio.io/v1alpha3',
    ),
    [
      'IST0153 EnvoyFilter shop/a spec.configPatches[0].patch.operation: The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.',
      'IST0152 EnvoyFilter shop/a spec.configPatches[1].patch.operation: The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER.',
      'IST0151 EnvoyFilter shop/a spec.configPatches[2].patch.operation: This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the EnvoyFilter not to be applied. Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.',
      'LAT0004 EnvoyFilter shop/a spec.configPatches: takes effect on workloads that run Envoy; the proxy of Lateen takes no patches',
    ],
  ],
  [
    'what nothing goes by',
    [
      of(
        'VirtualService',
        'a',
        '{hosts: [reviews], tcp: [{match: [{port: 80}, {sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: reviews}}]}]}',
      ),
      of(
        'DestinationRule',
        'a',
        '{host: reviews, workloadSelector: {matchLabels: {app: a}}, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {backendUtilization: {}}}]}}]}',
      ),
      of('Telemetry', 'a', '{tracing: [{randomSamplingPercentage: 1}]}', 'telemetry.istio.io/v1'),
      of('RequestAuthentication', 'a', '{jwtRules: [{issuer: a}]}', 'security.istio.io/v1'),
    ].join('---'),
    [
      'LAT0003 VirtualService shop/a spec.hosts[0]: has no effect on reviews.shop.svc.cluster.local: all its ports are HTTP (9080 (http))',
      'LAT0004 VirtualService shop/a spec.tcp[0].match[1].sourceSubnet: has no effect: nothing here goes by it yet',
      'LAT0004 DestinationRule shop/a spec.workloadSelector: has no effect: nothing here goes by it yet',
      'LAT0004 DestinationRule shop/a spec.subsets[0].trafficPolicy.portLevelSettings[0].loadBalancer.backendUtilization: has no effect: nothing here goes by it yet',
      'LAT0004 Telemetry shop/a spec.tracing: has no effect: nothing here goes by it yet',
      'LAT0004 RequestAuthentication shop/a spec: has no effect: nothing here goes by it yet',
    ],
  ],
  [
    'annotations',
    `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop, annotations: {sidecar.istio.io/inject: "true", networking.istio.io/exprtTo: "."}}
spec: {ports: [{name: http, port: 80}]}
`,
    [
      'IST0107 Service shop/a metadata.annotations["sidecar.istio.io/inject"]: Misplaced annotation: sidecar.istio.io/inject can only be applied to Pod',
      'IST0108 Service shop/a metadata.annotations["networking.istio.io/exprtTo"]: Unknown annotation: networking.istio.io/exprtTo; did you mean "networking.istio.io/exportTo"?',
    ],
  ],
  [
    'what the schema refuses',
    of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: reviews')}, htp: []}`),
    ['IST0106 VirtualService shop/a spec.htp: Schema validation error: spec.htp: is not a known field'],
  ],
];

for (const [title, resources, findings] of cases)
  test(title, (t) => t.deepEqual(said(resources).sort(), [...findings].sort()));

test('an entry that has an allocated address needs none, where proxies answer DNS', (t) => {
  const entry = (resolution: string) =>
    of(
      'ServiceEntry',
      'e',
      `{hosts: [db.example.com], ports: [{number: 1, name: db, protocol: TCP}], resolution: ${resolution}}`,
    );
  t.deepEqual(said(entry('DNS'), { capturesDns: true }), []);
  t.is(said(entry('NONE'), { capturesDns: true }).length, 1);
});

test('what cannot be seen is not said to be missing', (t) => {
  const unseen = `${of('VirtualService', 'a', `{hosts: [x], http: ${route('host: x, subset: v1')}}`)}---${of('DestinationRule', 'b', '{host: y}')}---${of('AuthorizationPolicy', 'c', '{selector: {matchLabels: {app: nobody}}, rules: [{}]}', 'security.istio.io/v1')}`;
  t.deepEqual(said(unseen, { isWhole: false, seesSecrets: false }), []);
});

test('findings are left out by code and name, and by annotation', (t) => {
  const typo = of('VirtualService', 'a', `{hosts: [reviews], http: ${route('host: revews')}}`);
  const left = (resource: string) => said(typo, { suppressed: [{ code: 'IST0101', resource }] }).length;
  t.is(left('VirtualService shop/a'), 0);
  t.is(left('VirtualService sh*'), 0);
  t.is(left('*'), 0);
  t.is(left('VirtualService other/*'), 1);
  t.is(left('VirtualService shop/ab'), 1);
  for (const [value, count] of [
    ['*', 0],
    ['IST0101', 0],
    ['IST0102', 1],
  ] as const)
    t.is(
      said(typo.replace('{name: a,', `{name: a, annotations: {galley.istio.io/analyze-suppress: "${value}"},`)).length,
      count,
    );
});

test('whatever resources hold, analysis ends, and each finding is of one of them', (t) => {
  const object = fc.oneof(
    ...kinds
      .filter(({ group }) => group.endsWith('.istio.io'))
      .map((kind) =>
        fc.record({
          apiVersion: fc.constant(apiVersions(kind)[0]),
          kind: fc.constant(kind.kind),
          metadata: fc.record({ name: fc.constantFrom('a', 'b'), namespace: fc.constantFrom('shop', 'istio-system') }),
          spec: arbitraryOf(kind.spec),
        }),
      ),
  );
  fc.assert(
    fc.property(fc.array(object, { maxLength: 6 }), (objects) => {
      const all = [...objectsOf(shop), ...(objects as Analyzed[])];
      for (const { resource } of analyze(all)) t.true(all.includes(resource));
    }),
    { numRuns: 200 },
  );
});
