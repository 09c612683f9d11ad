import test from 'ava';
import { apply, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { exec, podsReady } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';

const client = `
apiVersion: v1
kind: Pod
metadata:
  name: asks-by-name
  namespace: default
  labels: { app: asks-by-name }
  annotations:
    proxy.istio.io/config: |
      proxyMetadata:
        ISTIO_META_DNS_CAPTURE: "true"
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: curl
      image: docker.io/curlimages/curl:8.16.0
      imagePullPolicy: IfNotPresent
      command: [sleep, infinity]
`;

const entry = (address: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [ratings.shop.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: ${address} }]
`;

test.serial(
  'a host that only a ServiceEntry knows has an address where DNS is captured, and is reached by it',
  async (t) => {
    const [ratings] = await podsReady(namespace, 'app=ratings');
    const shop = entry(ratings.status.podIP ?? '');
    t.teardown(() => remove(shop));
    t.teardown(() => remove(client));
    await apply(shop);
    await apply(client);
    await podsReady(namespace, 'app=asks-by-name');
    const place = { namespace, pod: 'asks-by-name', container: 'curl' };
    const asked = (url: string) =>
      exec(place, ['curl', '-sS', '-o', '/dev/null', '-w', '%{remote_ip} %{http_code}', url]);
    const told = await waitFor(
      async () => {
        const { stdout } = await asked('http://ratings.shop.example:9080/ratings/0');
        return stdout.endsWith(' 200') && stdout;
      },
      { what: 'an answer by the name of the ServiceEntry' },
    );
    t.regex(told, /^240\.240\.\d+\.\d+ 200$/);
    const { stdout } = await asked('http://ratings:9080/ratings/0');
    t.regex(stdout, / 200$/, 'names of Services as ever');
  },
);
