import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function run(command: string[]): Promise<Ended> {
  const [file, ...args] = command;
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

const here = import.meta.dirname;
const program = (file: string, args: string[]) => {
  const text = `process.exitCode = await (await import(${JSON.stringify(join(here, file))})).main(${JSON.stringify(args)})`;
  return [process.execPath, '--input-type=module', '-e', text];
};

test('a dry run prints the rules and changes nothing', async (t) => {
  const { code, stdout } = await run(program('main.ts', ['-n', '-i', '*', '-b', '*']));
  t.is(code, 0);
  t.regex(stdout, /^# IPv4\n\*nat\n/);
});

test('a wrong flag ends with code 64', async (t) => {
  const { code, stderr } = await run(program('main.ts', ['-p', 'x']));
  t.is(code, 64);
  t.regex(stderr, /^lateen iptables: -p, --envoy-port must be/);
});

const root = process.geteuid?.() === 0;

test('without NET_ADMIN the error says what to give the container', async (t) => {
  const command = program('main.ts', ['-i', '*']);
  const { code, stderr } = await run(root ? ['setpriv', '--reuid', '1000', '--clear-groups', ...command] : command);
  t.is(code, 1);
  t.regex(stderr, /needs the capability NET_ADMIN, which this process \(user \d+\) lacks; .*capabilities\.add/);
});

test('validation fails with code 126 where nothing is redirected, and passes where it is', async (t) => {
  if (!root) {
    t.log('not run: needs root');
    t.pass();
    return;
  }
  const inNamespace = (args: string[]) => {
    const [node, ...rest] = program('main.ts', args);
    return run(['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', node, ...rest]);
  };
  const failed = await inNamespace(['--run-validation', '--skip-rule-apply', '--probe-timeout', '200ms']);
  t.is(failed.code, 126, failed.stderr);
  t.regex(failed.stderr, /a connection to 127\.0\.0\.6 port 15002 was not redirected: connect ECONNREFUSED/);
  const passed = await inNamespace(['-i', '*', '-b', '*', '--run-validation']);
  t.is(passed.code, 0, passed.stderr);
  t.regex(passed.stdout, /redirection is proven\n$/);
});

test('root is given up for good before what follows --', async (t) => {
  if (!root) {
    t.log('not run: needs root');
    t.pass();
    return;
  }
  const text = `
    const { main } = await import(${JSON.stringify(join(here, 'main.ts'))});
    const { readFileSync } = await import('node:fs');
    const code = await main(['-u', '1337', '-i', '*', '--log_output_level=all:error', '--', 'proxy']);
    let back = 'closed';
    try { process.setuid(0); back = 'open'; } catch {}
    const caps = readFileSync('/proc/self/status', 'utf8').match(/Cap(Prm|Eff):\\s*\\S+/g);
    console.log(JSON.stringify([code, process.getuid(), process.getgid(), back, caps.map((cap) => /\\b0+$/.test(cap))]));`;
  const node = [process.execPath, '--input-type=module', '-e', text];
  const { stdout, stderr } = await run([
    'unshare',
    '--net',
    'sh',
    '-c',
    'ip link set lo up && exec "$@"',
    'sh',
    ...node,
  ]);
  t.is(stdout.trim(), JSON.stringify([0, 1337, 1337, 'closed', [true, true]]), stderr);
});

test('wait ends when the proxy is ready, and says what it heard when it is not', async (t) => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.statusCode = asked < 4 ? 503 : 200;
    response.end(asked < 4 ? 'no configuration yet' : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz/ready`;
  const { code } = await run(program('wait.ts', ['--url', url, '--periodMillis=5']));
  t.is(code, 0);
  t.is(asked, 4);

  asked = -1_000_000;
  const failed = await run(program('wait.ts', ['--url', url, '--timeoutSeconds', '0.05']));
  server.close();
  t.is(failed.code, 1);
  t.regex(failed.stderr, /the proxy is not ready after 0\.05 s: http:.*: 503 no configuration yet\n$/);
  t.is((await run(program('wait.ts', ['--nope']))).code, 64);
});
