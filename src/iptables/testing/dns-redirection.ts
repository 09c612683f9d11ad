/**
 * Run by the test inside of fresh network and mount namespaces (`unshare --net --mount`): stands for a pod whose resolver is in another
 * namespace, sets the rules, starts the proxy's own DNS server, asks as the application and as the proxy, and prints the answers as JSON.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { answerDns } from '../../proxy/agent/dns.ts';
import { addressReply, framed, messages, question, readReply } from '../../proxy/testing/dns-peer.ts';
import { NameTableSchema } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { main } from '../main.ts';

const v6 = process.argv[2] === '6';
const args = process.argv.slice(3);
const pod = v6 ? 'fd00:1::1' : '10.1.1.1';
const resolver = v6 ? 'fd00:1::2' : '10.1.1.2';
/** Of the same machine, but not in /etc/resolv.conf. */
const stranger = v6 ? 'fd00:1::3' : '10.1.1.3';
const udp = v6 ? 'udp6' : 'udp4';
const run = (command: string) => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const application = 1000;
const proxy = 1337;

function become(uid: number): void {
  process.seteuid?.(0);
  process.setegid?.(uid);
  process.seteuid?.(uid);
}

/** The records of an answer, or the error's code. A socket is its maker's for ever; whoever answers is the proxy. */
async function ask(uid: number, protocol: 'udp' | 'tcp', server: string, name: string): Promise<string> {
  const bytes = question({ name });
  try {
    const signal = AbortSignal.timeout(3000);
    become(uid);
    if (protocol === 'udp') {
      const socket = createSocket(udp);
      socket.bind(0);
      await once(socket, 'listening');
      become(proxy);
      // Connected, it hears nobody but the server that was asked.
      socket.connect(53, server);
      await once(socket, 'connect', { signal });
      socket.send(bytes);
      const [reply] = await once(socket, 'message', { signal });
      socket.close();
      return readReply(reply).records.join();
    }
    const socket = connect({ host: server, port: 53, signal });
    await once(socket, 'connect', { signal });
    become(proxy);
    socket.write(framed(bytes));
    for await (const reply of messages(socket)) return readReply(reply).records.join();
    return 'nothing';
  } catch (error) {
    const { code, name: kind } = error as NodeJS.ErrnoException;
    return typeof code === 'string' ? code : kind;
  }
}

/** The resolver's side: answers everything with one address. */
async function resolve(): Promise<void> {
  const any = v6 ? '::' : '0.0.0.0';
  for (const host of [resolver, stranger]) {
    const socket = createSocket(udp);
    socket.on('message', (bytes, from) => socket.send(addressReply(bytes, [9, 9, 9, 9]), from.port, from.address));
    socket.bind(53, host);
    await once(socket, 'listening');
  }
  const server = createServer(async (socket) => {
    for await (const bytes of messages(socket)) socket.write(framed(addressReply(bytes, [9, 9, 9, 9])));
  });
  server.listen(53, any);
  await once(server, 'listening');
  console.log('up');
}

async function inPod(): Promise<void> {
  const child = spawn(
    'unshare',
    [
      '--net',
      'sh',
      '-c',
      'echo made; read go; exec "$0" "$@"',
      process.execPath,
      import.meta.filename,
      v6 ? '6' : '4',
      'resolver',
    ],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  await once(child.stdout, 'data');
  const bits = v6 ? '/64 nodad' : '/24';
  run(`ip link set lo up; ip link add v0 type veth peer name v1; ip link set v1 netns ${child.pid}`);
  run(`ip address add ${pod}${bits} dev v0; ip link set v0 up`);
  const there = `ip link set lo up; ip address add ${resolver}${bits} dev v1; ip address add ${stranger}${bits} dev v1; ip link set v1 up`;
  run(`nsenter -t ${child.pid} -n sh -c '${there}'`);
  run(`ip ${v6 ? '-6 ' : ''}route add default via ${resolver}`);
  child.stdin.write('go\n');
  await once(child.stdout, 'data');

  const resolvConf = join(mkdtempSync(join(tmpdir(), 'lateen-dns-')), 'resolv.conf');
  writeFileSync(resolvConf, `search shop.svc.cluster.local\nnameserver ${resolver}\n`);
  run(`mount --bind ${resolvConf} /etc/resolv.conf`);
  const code = await main(args);
  become(proxy);
  const server = await answerDns({
    at: { host: 'localhost', port: 15_053 },
    namespace: 'shop',
    domain: 'shop.svc.cluster.local',
    resolvConfPath: '/etc/resolv.conf',
  });
  server.take(
    create(NameTableSchema, {
      table: { 'cart.shop.svc.cluster.local': { ips: ['10.0.0.1'], registry: 'Kubernetes' } },
    }),
  );
  const answers: Record<string, string> = {};
  for (const protocol of ['udp', 'tcp'] as const) {
    answers[`application, ${protocol}, a name of the mesh`] = await ask(application, protocol, resolver, 'cart');
    answers[`application, ${protocol}, another name`] = await ask(application, protocol, resolver, 'a.org');
    answers[`application, ${protocol}, of another server`] = await ask(application, protocol, stranger, 'cart');
    answers[`proxy, ${protocol}`] = await ask(proxy, protocol, resolver, 'cart');
  }
  const { requests, forwarded } = server.counters;
  child.kill();
  process.stdout.write(`\n${JSON.stringify({ code, answers, requests, forwarded })}\n`);
  process.exit(0);
}

await (args[0] === 'resolver' ? resolve() : inPod());
