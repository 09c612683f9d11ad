import test from 'ava';
import { createRuntime } from './runtime.ts';
import { Caller, httpOrigin, noSecrets, ok, Witness } from './testing/peers.ts';
import { clusterOf, endpointOf, forwardOf, httpTable, routeOf } from './testing/tables.ts';

test('a request is forwarded with the headers of a sidecar, and its connection is used again', async (t) => {
  const heads: string[] = [];
  const origin = await httpOrigin(({ head, body }) => {
    heads.push(head);
    return ok(`<${body}>`, 'x-origin: yes\r\n');
  }).start();
  const witness = new Witness();
  const runtime = await createRuntime({
    table: httpTable([routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]),
    secrets: noSecrets,
    telemetry: witness,
  });
  const caller = await Caller.to(runtime.portOf('listener'));
  for (let i = 0; i < 3; i++) {
    const answer = await caller
      .send('POST /x?y=1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\nX-Own: 1\r\n\r\nabc')
      .responses();
    t.regex(
      answer,
      /^HTTP\/1\.1 200 OK\r\nx-origin: yes\r\ncontent-length: 5\r\nx-envoy-upstream-service-time: \d+\r\ndate: .*\r\nserver: istio-envoy\r\n\r\n<abc>$/,
    );
  }
  t.is(origin.connections, 1);
  t.regex(
    heads[0],
    /^POST \/x\?y=1 HTTP\/1\.1\r\nHost: shop\r\nContent-Length: 3\r\nX-Own: 1\r\nx-forwarded-proto: http\r\nx-request-id: [0-9a-f-]{36}\r\nx-envoy-attempt-count: 1$/,
  );
  t.deepEqual(
    witness.finished.map(({ status, flags, details, attempts, requestBytes, responseBytes }) => ({
      status,
      flags,
      details,
      attempts,
      requestBytes,
      responseBytes,
    })),
    Array(3).fill({ status: 200, flags: '', details: 'via_upstream', attempts: 1, requestBytes: 3, responseBytes: 5 }),
  );
  caller.stop();
  await runtime.close();
  origin.stop();
});
