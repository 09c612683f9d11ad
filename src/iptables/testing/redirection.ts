/**
 * Run by the test inside of a fresh network namespace (`unshare --net`): stands for a pod, makes another namespace for a
 * neighbour, sets the rules, calls from and to everywhere, and prints where each connection arrived, as JSON.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { main } from '../main.ts';

const [v6, ...args] = [process.argv[2] === '6', ...process.argv.slice(3)];
const pod = v6 ? 'fd00:1::1' : '10.1.1.1';
const neighbour = v6 ? 'fd00:1::2' : '10.1.1.2';
const elsewhere = v6 ? 'fd00:9::9' : '10.9.9.9';
const loopback = v6 ? '::1' : '127.0.0.1';
const run = (command: string) => execFileSync('sh', ['-c', command], { encoding: 'utf8' });

/** Who answers a connection to `host`: the name that the listener says, or the error's code. */
function call(host: string, port: number, uid: number): Promise<string> {
  return new Promise((resolve) => {
    process.setegid?.(uid);
    process.seteuid?.(uid);
    const done = (answer: string) => {
      process.seteuid?.(0);
      process.setegid?.(0);
      resolve(answer);
    };
    const socket = connect({ host, port, timeout: 1500 });
    let heard = '';
    socket.on('data', (bytes) => {
      heard += bytes.toString();
    });
    socket.on('end', () => done(heard));
    socket.on('timeout', () => socket.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'error'));
  });
}

function listen(port: number, name: string): Promise<void> {
  return new Promise((resolve) => {
    createServer((socket) => socket.end(name)).listen(port, v6 ? '::' : '0.0.0.0', resolve);
  });
}

/** Node's program text for the neighbour: answers on port 9000, and calls what it is told on standard input, a line each. */
const neighbourProgram = `
const net = require('node:net');
net.createServer((socket) => socket.end('neighbour')).listen(9000, ${JSON.stringify(v6 ? '::' : '0.0.0.0')}, () => console.log('up'));
require('node:readline').createInterface({ input: process.stdin }).on('line', (port) => {
  let heard = '';
  const socket = net.connect({ host: ${JSON.stringify(pod)}, port: Number(port), timeout: 1500 });
  socket.on('data', (bytes) => { heard += bytes; });
  socket.on('timeout', () => socket.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })));
  socket.on('end', () => console.log(heard));
  socket.on('error', (error) => console.log(error.code));
});`;

const child = spawn('unshare', ['--net', process.execPath, '-e', neighbourProgram], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const lines: string[] = [];
const waiting: Array<(line: string) => void> = [];
child.stdout.setEncoding('utf8').on('data', (text: string) => {
  for (const line of text.trim().split('\n')) {
    const next = waiting.shift();
    if (next) next(line);
    else lines.push(line);
  }
});
const line = () =>
  new Promise<string>((resolve) => (lines.length > 0 ? resolve(lines.shift()!) : waiting.push(resolve)));
const fromNeighbour = (port: number) => {
  child.stdin.write(`${port}\n`);
  return line();
};

await line();
if (readlinkSync(`/proc/${child.pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) throw new Error('not apart');
run(`ip link set lo up; ip link add v0 type veth peer name v1; ip link set v1 netns ${child.pid}`);
const bits = v6 ? '/64 nodad' : '/24';
run(`ip address add ${pod}${bits} dev v0; ip link set v0 up`);
run(
  `nsenter -t ${child.pid} -n sh -c 'ip link set lo up; ip address add ${neighbour}${bits} dev v1; ip link set v1 up'`,
);
run(`ip ${v6 ? '-6 ' : ''}route add default via ${neighbour}`);

await listen(15_001, 'outbound');
await listen(15_006, 'inbound');
await listen(8080, 'application');
await listen(15_020, 'agent');
await listen(15_008, 'tunnel');

const application = 1000;
const proxy = 1337;
const before = run(v6 ? 'ip6tables-save' : 'iptables-save');
const codes = [await main(args), await main(args)];
const rules = run(v6 ? 'ip6tables-save' : 'iptables-save');
const arrivals = {
  'application → elsewhere': await call(elsewhere, 80, application),
  'application → neighbour': await call(neighbour, 9000, application),
  'application → itself, loopback': await call(loopback, 8080, application),
  'application → itself, pod address': await call(pod, 8080, application),
  'proxy → neighbour': await call(neighbour, 9000, proxy),
  'proxy → application, loopback': await call(loopback, 8080, proxy),
  'proxy → application, pod address': await call(pod, 8080, proxy),
  'neighbour → application': await fromNeighbour(8080),
  'neighbour → agent': await fromNeighbour(15_020),
  'neighbour → tunnel': await fromNeighbour(15_008),
};
codes.push(await main(['--cleanup', ...args]));
const after = run(v6 ? 'ip6tables-save' : 'iptables-save');
const cleaned = {
  'neighbour → application': await fromNeighbour(8080),
  'application → neighbour': await call(neighbour, 9000, application),
};
child.kill();
process.stdout.write(`\n${JSON.stringify({ codes, arrivals, cleaned, before, rules, after })}\n`);
process.exit(0);
