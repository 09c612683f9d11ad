import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { curlFrom, tally } from '../support/curl.ts';
import { meshClient, outsideClient, sample } from '../support/mesh.ts';
import { apply, get, remove } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { exec, type Pod, podsReady } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const namespace = 'default';
const strict = sample('bookinfo/security/strict.yaml');
const probes = sample('probes/probes.yaml');

test.serial('under STRICT a plaintext caller outside the mesh is refused, and the mesh goes on', async (t) => {
  const outside = await outsideClient();
  const url = 'http://reviews.default.svc.cluster.local:9080/reviews/0';
  t.is((await curlFrom(outside, url)).status, 200, 'PERMISSIVE takes plaintext');
  await apply(strict, { namespace });
  const refused = await waitFor(
    async () => {
      const answer = await curlFrom(outside, url);
      return answer.status === 0 && answer;
    },
    { what: 'the plaintext caller to be refused' },
  );
  t.log(refused.error);
  t.true([52, 56].includes(refused.exitCode), `curl ended with ${refused.exitCode}`);
  t.is((await curlFrom(await meshClient(), url)).status, 200);
});

test.serial('HTTP/2 without TLS, as gRPC speaks it, goes through both proxies as HTTP/2', async (t) => {
  const server = sample('http2/http2.yaml');
  await apply(server, { namespace });
  await podsReady(namespace, 'app=http2');
  const client = await meshClient();
  const answer = await waitFor(
    async () => {
      const seen = await curlFrom(client, 'http://http2:9090/', { args: ['--http2-prior-knowledge'] });
      return seen.status === 200 && seen;
    },
    { what: 'an answer of the HTTP/2 server' },
  );
  t.regex(answer.body, /^HTTP\/2\.0 from .*URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/curl/);
  await remove(server, { namespace });
});

test.serial("the kubelet's probes still pass under STRICT", async (t) => {
  await apply(probes, { namespace });
  const [pod] = await podsReady(namespace, 'app=probed');
  const app = (
    pod as unknown as {
      spec: { containers: Array<{ name: string; readinessProbe?: { httpGet?: { path: string; port: number } } }> };
    }
  ).spec.containers.find(({ name }) => name === 'app');
  t.deepEqual(app?.readinessProbe?.httpGet && [app.readinessProbe.httpGet.path, app.readinessProbe.httpGet.port], [
    '/app-health/app/readyz',
    15020,
  ]);
  const readySince = Date.parse(pod.status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? '');
  // Liveness is asked every 2 s and would end the container at the third failure.
  await waitFor(() => Date.now() - readySince > 8_000, { what: 'four liveness periods' });
  const later = await get<Pod>('pod', pod.metadata.name, namespace);
  t.true(later?.status.containerStatuses?.every(({ restartCount, ready }) => restartCount === 0 && ready));
  await remove(probes, { namespace });
});

test.serial('the bytes between two pods hold no plaintext, and the certificate is the SPIFFE identity', async (t) => {
  const client = await meshClient();
  const [target] = await podsReady(namespace, 'app=ratings');
  const word = `marker${Date.now()}`;
  const bytes = await captured(`host ${target.status.podIP} and tcp port 9080`, async () => {
    const seen = await tally(client, `http://ratings:9080/ratings/0?${word}`, {
      count: 20,
      headers: { 'x-secret': word },
    });
    t.deepEqual(seen, { '200': 20 });
  });
  t.true(bytes.length > 2_000, `${bytes.length} bytes were captured`);
  t.false(bytes.includes(word));
  t.false(bytes.includes('HTTP/1.1'));
  const outside = await outsideClient();
  const script = `openssl s_client -connect ${target.status.podIP}:9080 -alpn istio -showcerts </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName`;
  const shown = await exec(outside, ['sh', '-c', script]);
  t.regex(shown.stdout, /URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/bookinfo-ratings/, shown.stderr);
});

/** Sees every packet of its node. */
const watcher = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'watcher', namespace: 'outside', labels: { app: 'watcher' } },
  spec: {
    hostNetwork: true,
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'tcpdump',
        image: 'docker.io/lateen/e2e-tools:1',
        command: ['sleep', 'infinity'],
        securityContext: { runAsUser: 0, capabilities: { add: ['NET_RAW', 'NET_ADMIN'] } },
      },
    ],
  },
};

/** Every packet that fits the filter while `during` runs, as one buffer. */
async function captured(filter: string, during: () => Promise<void>): Promise<Buffer> {
  await apply(watcher);
  await podsReady('outside', 'app=watcher');
  const [command, ...args] = [...cluster.kubectlCommand, '-n', 'outside', 'exec', 'watcher', '--'];
  const script = `echo $$ >/tmp/pid; exec tcpdump -Z root --immediate-mode -U -n -i any -s 0 -w - ${filter}`;
  const child = spawn(command, [...args, 'sh', '-c', script], {
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
      if (said.includes('listening on')) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`tcpdump ended with ${code}: ${said}`)));
  });
  await during();
  const ended = once(child, 'close');
  await exec({ namespace: 'outside', pod: 'watcher' }, ['sh', '-c', 'kill -INT $(cat /tmp/pid)']);
  await ended;
  await remove(watcher);
  return Buffer.concat(chunks);
}

test.after.always('PERMISSIVE again', async () => {
  await remove(strict, { namespace });
});
