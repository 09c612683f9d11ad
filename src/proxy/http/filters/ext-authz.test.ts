import { fromJson } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { ExtAuthzSchema } from '../../../xds/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import { compileExtAuthz } from '../../config/ext-authz.ts';
import { Field } from '../../config/field.ts';
import { ok, type ReceivedRequest } from '../../testing/peers.ts';
import { get, originFor, TestProxy } from '../../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../../testing/tables.ts';

function compiled(message: object) {
  const field = new Field('ext_authz');
  const config = compileExtAuthz(field, fromJson(ExtAuthzSchema, message as never));
  return { config, problems: field.problems };
}

/** A proxy that asks a service over HTTP, and an origin that tells what body it got. */
async function guarded(t: ExecutionContext, service: (request: ReceivedRequest) => string | null, more: object = {}) {
  const check = await originFor(t, service);
  const origin = await originFor(t, ({ head, body }) => ok(`${/x-user: *(.*)/.exec(head)?.[1] ?? ''}|${body.length}`));
  const { config } = compiled({
    http_service: {
      server_uri: { uri: 'http://check', cluster: 'check', timeout: '5s' },
      authorization_response: { allowed_upstream_headers: { patterns: [{ exact: 'x-user' }] } },
    },
    ...more,
  });
  const proxy = await TestProxy.http(
    t,
    [routeOf('/', forwardOf('a'))],
    [clusterOf('a', [endpointOf(origin.port)]), clusterOf('check', [endpointOf(check.port)])],
    { filters: [{ name: 'authz', disabled: false, statPrefix: 'http.test.ext_authz.', config }] },
  );
  return { proxy, check, counters: () => proxy.runtime.statistics.filter('http.test.ext_authz.', 'extAuthz') };
}

test('a body larger than what is read ahead goes on whole after the answer', async (t) => {
  const { proxy, counters } = await guarded(t, () => 'HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n');
  const body = 'x'.repeat(300_000);
  const answer = await proxy.ask(t, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  t.regex(answer, /ann\|300000$/);
  t.like(counters(), { ok: 1, denied: 0 });
});

test('a caller that leaves while the service thinks takes the question back', async (t) => {
  const asked = Promise.withResolvers<ReceivedRequest>();
  const { proxy, check } = await guarded(t, (request) => {
    asked.resolve(request);
    return null;
  });
  const caller = await proxy.caller(t);
  caller.send(get());
  const { socket } = await asked.promise;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  caller.stop();
  await proxy.witness.until(({ finished }) => finished.length === 1);
  t.like(proxy.witness.finished[0], { flags: 'DC', details: 'downstream_remote_disconnect' });
  await closed;
  t.is(check.sockets.size, 0);
});

test('what is not supported is refused by its path', (t) => {
  t.deepEqual(compiled({ include_peer_certificate: true, with_request_body: {} }).problems, [
    'ext_authz: include_peer_certificate: is not supported',
    'ext_authz: grpc_service: has no envoy_grpc',
    'ext_authz: with_request_body.max_request_bytes: must be at least 1',
  ]);
  t.deepEqual(compiled({ http_service: { server_uri: { uri: 'ftp://x', timeout: '1s' } } }).problems, [
    'ext_authz: http_service.server_uri.uri: "ftp://x" is no http or https URI',
    'ext_authz: http_service.server_uri.cluster: is empty',
  ]);
});
