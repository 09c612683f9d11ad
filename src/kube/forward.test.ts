import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import test from 'ava';
import { WebSocketServer } from 'ws';
import { clientOf } from './connect.ts';
import { directConnection } from './connection.ts';

const listening = (server: Server) =>
  new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );

/** An API server's port-forward, in front of a page in a pod. */
async function forwarding(t: { teardown(work: () => void): void }) {
  const page = createServer(({ url, method }, response) => {
    response.writeHead(url === '/missing' ? 404 : 200);
    response.end(url === '/large' ? 'x'.repeat(300_000) : `${method} ${url}`);
  });
  const port = await listening(page);
  const api = createServer((_, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server: api, path: undefined, handleProtocols: () => 'v4.channel.k8s.io' });
  sockets.on('connection', (socket, request) => {
    const asked = Number(new URL(request.url ?? '', 'http://x').searchParams.get('ports'));
    const head = Buffer.alloc(3);
    head.writeUInt16LE(asked, 1);
    socket.send(head);
    socket.send(Buffer.concat([Buffer.of(1), head.subarray(1)]));
    if (asked !== port) {
      socket.send(Buffer.concat([Buffer.of(1), Buffer.from('connection refused')]));
      return;
    }
    const upstream = connect(port, '127.0.0.1');
    upstream.on('data', (bytes) => socket.send(Buffer.concat([Buffer.of(0), bytes as Buffer])));
    upstream.on('error', () => {});
    upstream.on('close', () => socket.close());
    socket.on('message', (data) => upstream.write((data as Buffer).subarray(1)));
  });
  const server = await listening(api);
  t.teardown(() => {
    for (const socket of sockets.clients) socket.terminate();
    api.close();
    page.close();
    page.closeAllConnections();
  });
  return { port, client: clientOf(directConnection(`http://127.0.0.1:${server}`)) };
}

test('a page of a port that listens on loopback in a pod', async (t) => {
  const { client, port } = await forwarding(t);
  t.is(await client.askInPod('a', 'shop', port, '/config_dump'), 'GET /config_dump');
  t.is(await client.askInPod('a', 'shop', port, '/logging', { method: 'POST' }), 'POST /logging');
  t.is((await client.askInPod('a', 'shop', port, '/large')).length, 300_000);
});

test('what does not answer is told with the pod and the port', async (t) => {
  const { client, port } = await forwarding(t);
  await t.throwsAsync(client.askInPod('a', 'shop', port, '/missing'), {
    message: /port \d+ of pod shop\/a: answers 404: GET \/missing/,
  });
  await t.throwsAsync(client.askInPod('a', 'shop', 1, '/x'), { message: /port 1 of pod shop\/a: connection refused/ });
  const nobody = clientOf(directConnection('http://127.0.0.1:1'));
  await t.throwsAsync(nobody.askInPod('a', 'shop', 1, '/x'), { message: /port 1 of pod shop\/a: .*ECONNREFUSED/ });
});
