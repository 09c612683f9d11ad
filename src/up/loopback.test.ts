import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { createLoopback } from './loopback.ts';

const onLinux = process.platform === 'linux';

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-loopback-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function outcome(command: string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const [code] = await once(child, 'close');
  return { code, output };
}

/** Processes of this machine that were told of a folder. */
async function processesOf(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    if ((await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).includes(folder)) found.push(pid);
  return found;
}

test('the demo runs without privileges, shows what it promises and leaves nothing behind', async (t) => {
  t.timeout(110_000);
  const folder = await folderFor(t);
  const main = join(import.meta.dirname, '../main.ts');
  const command = [main, 'up', '--demo', '--once', '--loopback', '--port', '0'];
  const { code, output } = await outcome(command, { ...process.env, TMPDIR: folder });
  if (!onLinux) {
    t.not(code, 0);
    t.regex(output, /lateen up needs Linux/);
    return;
  }
  t.is(code, 0, output);
  const identity = (name: string) => `spiffe://cluster\\.local/ns/default/sa/bookinfo-${name}`;
  for (const expected of [
    /^Lateen \S+: a mesh on this machine, on loopback addresses 127\.\d+\.0\.0\/16 instead of network namespaces/,
    /✔ 8 pods, each with its proxy/,
    /✔ GET \/productpage → 200, reviews-v\d-0 wrote the reviews/,
    new RegExp(`✔ ${identity('productpage')} → ${identity('reviews')} \\(mutual_tls, \\d+ requests\\)`),
    /✔ 500 requests: v1 \d+ \(.*\), v2 \d+ \(.*\)/,
    /✔ curl → reviews: 403 RBAC: access denied/,
    /rbac_access_denied_matched_policy/,
    /✔ productpage → reviews: still 200/,
  ])
    t.regex(output, expected);
  t.deepEqual(await readdir(folder), []);
  t.deepEqual(await processesOf(folder), []);
});

const program = `
  const { createServer, get } = require('node:http');
  const server = createServer((request, response) => response.end(request.socket.remoteAddress));
  server.listen(0, () => {
    const { address, port } = server.address();
    get({ host: 'shop', port: 80 }, (response) => {
      response.setEncoding('utf8').on('data', (seenFrom) => {
        console.log(JSON.stringify({ hostname: require('node:os').hostname(), address, seenFrom }));
      });
    });
  });
  setInterval(() => {}, 1000);
`;

test("a pod's process sees the pod's own names and addresses, and ends with what holds it", async (t) => {
  if (!onLinux) return t.pass();
  const root = await folderFor(t);
  await mkdir(join(root, 'etc'));
  // Its own, whatever else runs here: the shifted port is a fixed one.
  const shopIp = `127.250.${(process.pid >> 8) & 255}.${process.pid & 255}`;
  await writeFile(join(root, 'etc/hosts'), `127.9.4.2 localhost\n127.9.4.1 pod-0\n${shopIp} shop shop.default\n`);
  const shop = createServer((socket) => {
    socket.on('error', () => {});
    const body = socket.remoteAddress ?? '';
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  }).listen(30_080, shopIp);
  const holder = createServer().listen(0, '127.0.0.1');
  await Promise.all([once(shop, 'listening'), once(holder, 'listening')]);
  t.teardown(() => {
    shop.close();
    holder.close();
  });
  const held = once(holder, 'connection');
  const child = spawn(process.execPath, ['-e', program], {
    env: {
      HOSTNAME: 'pod-0',
      LATEEN_POD_ROOT: root,
      LATEEN_UP_HOLDER: `127.0.0.1:${(holder.address() as AddressInfo).port}`,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'loopback-process.ts'))}`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const [line] = await once(child.stdout, 'data');
  t.deepEqual(JSON.parse(String(line)), { hostname: 'pod-0', address: '127.9.4.2', seenFrom: '127.9.4.1' });
  const [connection] = await held;
  connection.destroy();
  t.deepEqual(await ended, [1, null]);
});

test('two meshes at once have blocks of their own', async (t) => {
  if (!onLinux) return t.pass();
  const folder = await folderFor(t);
  const grounds = await Promise.all([createLoopback(folder, 'test'), createLoopback(folder, 'test')]);
  t.not(grounds[0].controlAddress, grounds[1].controlAddress);
  for (const ground of grounds) await ground.close();
});
