import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import test from 'ava';
import { type InjectionConfig, InjectionConfigError, parseInjectionConfig } from './config.ts';
import type { WebhookLog } from './log.ts';
import { createWebhookServer, type ServingCertificate } from './server.ts';
import type { Advise } from './validation-review.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-webhook-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function certificate(name: string): ServingCertificate {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:istiod.istio-system.svc'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', '-nodes', ...kind, '-days', '1', ...subject, '-keyout', key, '-out', cert], {
    stdio: 'pipe',
  });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

const [first, second] = [certificate('first'), certificate('second')];
const silent: WebhookLog = { info() {}, warn() {}, error() {} };

interface Answer {
  status: number;
  body: string;
  /** The server's certificate. */
  subject: string;
}

function call(port: number, method: string, path: string, body?: string, type = 'application/json'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: '127.0.0.1', port, method, path, agent: false, servername: 'istiod.istio-system.svc' },
        ca: [first.cert, second.cert],
        headers: body === undefined ? {} : { 'content-type': type },
      },
      (response) => {
        const peer: PeerCertificate = (response.socket as TLSSocket).getPeerCertificate();
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: text, subject: String(peer.subject.CN) }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function review(object: unknown, over: object = {}): string {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const given = { uid: 'u1', kind, operation: 'CREATE', namespace: 'shop', object, ...over };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: given });
}

const pod = { metadata: { name: 'p', creationTimestamp: null }, spec: { containers: [{ name: 'app', image: 'i' }] } };

async function serving(config: () => InjectionConfig = () => parseInjectionConfig(), advise?: Advise) {
  const served = { tls: first };
  const server = createWebhookServer({ tls: () => served.tls, config, advise, log: silent });
  return { server, served, port: await server.listen(0, '127.0.0.1') };
}

test('a pod comes back with a patch; one that refuses comes back as it is', async (t) => {
  const { server, port } = await serving();
  const { status, body } = await call(port, 'POST', '/inject/cluster/c9/net/n9?timeout=10s', review(pod));
  t.is(status, 200);
  const { apiVersion, kind, response } = JSON.parse(body);
  t.deepEqual(
    [apiVersion, kind, response.uid, response.allowed],
    ['admission.k8s.io/v1', 'AdmissionReview', 'u1', true],
  );
  t.is(response.patchType, 'JSONPatch');
  const patch = Buffer.from(response.patch, 'base64').toString();
  t.regex(patch, /"ISTIO_META_CLUSTER_ID","value":"c9"/);
  t.regex(patch, /"topology\.istio\.io\/network":"n9"/);

  const refusing = { ...pod, metadata: { name: 'p', labels: { 'sidecar.istio.io/inject': 'false' } } };
  t.deepEqual(JSON.parse((await call(port, 'POST', '/inject', review(refusing))).body).response, {
    uid: 'u1',
    allowed: true,
  });
  t.regex(server.metrics(), /^sidecar_injection_requests_total 2$/m);
  t.regex(server.metrics(), /^sidecar_injection_success_total 1$/m);
  t.regex(server.metrics(), /^sidecar_injection_skip_total\{reason="podLabel"\} 1$/m);
  await server.close();
});

test('a pod that cannot be injected is refused with the reason', async (t) => {
  let broken = false;
  const { server, port } = await serving(() => {
    if (broken) throw new InjectionConfigError('values.global.hub must be text');
    return parseInjectionConfig();
  });
  const bad = { ...pod, metadata: { annotations: { 'sidecar.istio.io/proxyCPU': 'much' } } };
  const refused = JSON.parse((await call(port, 'POST', '/inject', review(bad))).body).response;
  t.is(refused.allowed, false);
  t.is(refused.status.code, 400);
  t.regex(refused.status.message, /^annotation sidecar\.istio\.io\/proxyCPU must be a quantity/);
  broken = true;
  const failed = JSON.parse((await call(port, 'POST', '/inject', review(pod))).body).response;
  t.deepEqual([failed.allowed, failed.status.code], [false, 500]);
  t.regex(failed.status.message, /values\.global\.hub must be text/);
  t.regex(server.metrics(), /^sidecar_injection_failure_total\{reason="badPod"\} 1$/m);
  await server.close();
});

test('a resource with a bad field is refused by the name of the field, a good one passes', async (t) => {
  const { server, port } = await serving();
  const virtualService = (route: object) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'cart', namespace: 'shop' },
    spec: { hosts: ['cart'], http: [{ route: [route] }] },
  });
  const kind = { group: 'networking.istio.io', version: 'v1', kind: 'VirtualService' };
  const ask = async (object: unknown) =>
    JSON.parse((await call(port, 'POST', '/validate', review(object, { kind }))).body).response;
  t.true((await ask(virtualService({ destination: { host: 'cart' } }))).allowed);
  const refused = await ask(virtualService({ destination: { host: 'cart', port: { number: 99_999 } } }));
  t.is(refused.allowed, false);
  t.regex(
    refused.status.message,
    /^VirtualService shop\/cart: spec\.http\[0\]\.route\[0\]\.destination\.port\.number /,
  );
  t.true((await ask(null)).allowed);
  t.regex(
    server.metrics(),
    /^galley_validation_passed\{group="networking\.istio\.io",version="v1",resource="VirtualService"\} 1$/m,
  );
  t.regex(server.metrics(), /^galley_validation_failed\{/m);
  await server.close();
});

test('what the mesh would make of a resource comes with it as a warning; advice that fails keeps nothing out', async (t) => {
  const kind = { group: 'networking.istio.io', version: 'v1', kind: 'VirtualService' };
  const ask = async (advise: Advise, host: string) => {
    const { server, port } = await serving(undefined, advise);
    const object = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'cart' },
      spec: { hosts: ['cart'], http: [{ route: [{ destination: { host } }] }] },
    };
    const { body } = await call(port, 'POST', '/validate', review(object, { kind, namespace: 'shop' }));
    await server.close();
    return JSON.parse(body).response;
  };
  const seen: unknown[] = [];
  const said = await ask((object) => [`[IST0101] not found ${seen.push(object)}`], 'crat');
  t.like(said, { allowed: true, warnings: ['[IST0101] not found 1'] });
  t.like(seen[0], { metadata: { name: 'cart', namespace: 'shop' } });
  const failing = () => {
    throw new Error('broken');
  };
  t.like(await ask(failing, 'cart'), { allowed: true, warnings: undefined });
  t.like(await ask(() => ['never asked'], ''), { allowed: false, warnings: undefined });
});

test('bad questions get an error and the next good one its answer', async (t) => {
  const { server, port } = await serving();
  const status = async (...given: [path: string, body?: string, type?: string]) =>
    (await call(port, 'POST', ...given)).status;
  t.is(await status('/inject', '{'), 400);
  t.is(await status('/inject', ''), 400);
  t.is(await status('/inject', '[]'), 400);
  t.is(await status('/inject', '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}'), 400);
  t.is(await status('/inject', review(pod, { uid: 3 })), 400);
  t.is(await status('/inject', review(pod), 'text/yaml'), 415);
  t.is(await status('/inject', 'x'.repeat(3 * 1024 * 1024 + 1)), 413);
  t.is(await status('/nowhere', '{}'), 404);
  const error = await call(port, 'POST', '/validate', '{"kind":"Pod"}');
  t.is(error.body, 'must be an AdmissionReview of admission.k8s.io/v1, is "Pod" of undefined\n');
  const answered = JSON.parse((await call(port, 'POST', '/inject', review('not a pod'))).body).response;
  t.deepEqual([answered.allowed, answered.status.message], [false, 'pod: must be a mapping']);
  t.is((await call(port, 'GET', '/ready')).body, 'ok');
  await server.close();
});

test('a renewed certificate is served at the next connection, a broken one is not', async (t) => {
  const { server, served, port } = await serving();
  t.is((await call(port, 'GET', '/ready')).subject, 'first');
  served.tls = second;
  t.is((await call(port, 'GET', '/ready')).subject, 'second');
  served.tls = { key: 'broken', cert: 'broken' };
  t.is((await call(port, 'GET', '/ready')).subject, 'second');
  await server.close();
});
