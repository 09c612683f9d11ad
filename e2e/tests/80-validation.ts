import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { apply, get, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const manifest = (line: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused, namespace: default}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews, subset: v1}
          weight: 50
        - destination: {host: reviews, subset: v2}
          weight: 50
      ${line}
`;

const cases: ReadonlyArray<[does: string, line: string, names: RegExp]> = [
  ['a duration that is none', 'timeout: soon', /spec\.http\[0\]\.timeout/],
  ['a field that does not exist', 'timeuot: 3s', /timeuot/],
  ['two actions at once', 'redirect: {uri: /elsewhere}', /spec\.http\[0\]/],
  [
    'a status out of range',
    'fault: {abort: {httpStatus: 99, percentage: {value: 100}}}',
    /spec\.http\[0\]\.fault\.abort\.httpStatus/,
  ],
];

for (const [does, line, names] of cases)
  test.serial(`refused by the field's name: ${does}`, async (t) => {
    const error = await t.throwsAsync(() => apply(manifest(line)));
    t.regex(error?.message ?? '', names);
    t.is(await get('virtualservice', 'refused', 'default'), null);
  });

/** What is acceptable and yet will not do what its author expects: told at once, by `kubectl apply`. */
const warned: ReadonlyArray<[does: string, manifests: string, says: RegExp, before?: string]> = [
  [
    'a typo in a host',
    virtualService('typo', '{hosts: [reviews-x], http: [{route: [{destination: {host: revews}}]}]}'),
    /\[IST0101\].*Referenced host not found: "revews"; did you mean "reviews"\?/,
  ],
  [
    'an unknown subset',
    virtualService('subset', '{hosts: [reviews-x], http: [{route: [{destination: {host: reviews, subset: v9}}]}]}'),
    /\[IST0101\].*Referenced host\+subset in destinationrule not found: "reviews\.default\.svc\.cluster\.local\+v9"/,
  ],
  [
    'a gateway port that another has',
    resource('Gateway', 'one', gatewayPort('HTTP')) + resource('Gateway', 'two', gatewayPort('HTTP')),
    /\[IST0145\].*Conflict with gateways default\/one/,
  ],
  [
    'a VirtualService that another shadows',
    virtualService('first', '{hosts: [details], http: [{route: [{destination: {host: details}}]}]}') +
      virtualService('second', '{hosts: [details], http: [{route: [{destination: {host: details}}]}]}'),
    /\[LAT0001\].*default\/first is older and takes it/,
  ],
  [
    'a port name that turns HTTP into TCP',
    virtualService('opaque', '{hosts: [tcp-only], http: [{route: [{destination: {host: tcp-only}}]}]}'),
    /\[LAT0003\].*none of its ports is HTTP \(80 \(tcp-web\)\)/,
    `apiVersion: v1\nkind: Service\nmetadata: {name: tcp-only, namespace: default}\nspec: {ports: [{name: tcp-web, port: 80}]}\n`,
  ],
  [
    'a DestinationRule that is never used',
    resource('DestinationRule', 'unused', '{host: ratngs, trafficPolicy: {loadBalancer: {simple: RANDOM}}}'),
    /\[LAT0002\].*is never used: no service has the host "ratngs\.default\.svc\.cluster\.local"; did you mean "ratings"\?/,
  ],
];

function resource(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: default}\nspec: ${spec}\n---\n`;
}

function virtualService(name: string, spec: string): string {
  return resource('VirtualService', name, spec);
}

function gatewayPort(protocol: string): string {
  return `{selector: {istio: ingressgateway}, servers: [{port: {number: 8099, name: a, protocol: ${protocol}}, hosts: [a.example.com]}]}`;
}

for (const [does, manifests, says, before] of warned)
  test.serial(`told at kubectl apply: ${does}`, async (t) => {
    t.teardown(() => remove(manifests));
    if (before !== undefined) {
      t.teardown(() => remove(before));
      await apply(before);
    }
    // The control plane may see what was applied just before a moment later; what has not changed is not asked about again.
    const told = await waitFor(
      async () => {
        await remove(manifests);
        const { stderr } = await cluster.tryKubectl(['apply', '-f', '-'], { input: manifests });
        return says.test(stderr) && stderr;
      },
      { what: `a warning like ${says}` },
    );
    t.regex(told, says);
  });

test.serial('a WasmPlugin says in its status who runs it', async (t) => {
  const plugin = `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: told, namespace: default}
spec: {url: "oci://example.com/filter:1"}
`;
  t.teardown(() => remove(plugin));
  await apply(plugin);
  const told = await waitFor(
    async () => {
      const path = 'jsonpath={.status.conditions[?(@.type=="PassedAnalysis")].message}';
      return cluster.kubectl(['-n', 'default', 'get', 'wasmplugin', 'told', '-o', path]);
    },
    { what: 'the condition PassedAnalysis' },
  );
  t.regex(told, /takes effect on workloads that run Envoy; the proxy of Lateen runs no WebAssembly/);
});
