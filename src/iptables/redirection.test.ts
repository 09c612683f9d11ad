import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';

/** Null when a network namespace can be made here and rules set in it, otherwise why not. */
function obstacle(family: 4 | 6): string | null {
  if (process.geteuid?.() !== 0) return 'needs root';
  try {
    const program = family === 4 ? 'iptables-nft' : 'ip6tables-nft';
    const address = family === 6 ? 'ip -6 address add ::6/128 dev lo; ' : '';
    execFileSync(
      'unshare',
      ['--net', 'sh', '-ec', `ip link set lo up; ${address}ip link add v0 type veth peer name v1; ${program}-save`],
      { stdio: 'pipe' },
    );
    return null;
  } catch (error) {
    return `network namespaces or iptables cannot be had: ${(error as Error).message.split('\n')[0]}`;
  }
}

interface Report {
  codes: number[];
  arrivals: Record<string, string>;
  cleaned: Record<string, string>;
  before: string;
  rules: string;
  after: string;
}

interface DnsReport {
  code: number;
  answers: Record<string, string>;
  requests: number;
  forwarded: number;
}

function run<R = Report>(family: 4 | 6, args: string[], program = 'redirection', ...apart: string[]): Promise<R> {
  return new Promise((resolve, reject) => {
    execFile(
      'unshare',
      [
        '--net',
        ...apart,
        process.execPath,
        join(import.meta.dirname, `testing/${program}.ts`),
        String(family),
        ...args,
      ],
      { timeout: 60_000 },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
        else resolve(JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as R);
      },
    );
  });
}

const asInjected = ['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT'];
const everything = [...asInjected, '-i', '*', '-x', '', '-b', '*', '-d', '15090,15021,15020'];

const intercepted = {
  'application → elsewhere': 'outbound',
  'application → neighbour': 'outbound',
  'application → itself, loopback': 'application',
  'application → itself, pod address': 'application',
  'proxy → neighbour': 'neighbour',
  'proxy → application, loopback': 'application',
  'proxy → application, pod address': 'inbound',
  'neighbour → application': 'inbound',
  'neighbour → agent': 'agent',
  'neighbour → tunnel': 'tunnel',
};

for (const family of [4, 6] as const) {
  const why = obstacle(family);
  const real = (title: string, body: (t: import('ava').ExecutionContext) => Promise<void>) =>
    test.serial(`IPv${family}: ${title}`, async (t) => {
      if (why === null) return body(t);
      t.log(`not run: ${why}`);
      t.pass();
    });

  real(
    'connections arrive where the rules send them; set twice they are the same, removed they are gone',
    async (t) => {
      const report = await run(family, everything);
      t.deepEqual(report.codes, [0, 0, 0]);
      t.deepEqual(report.arrivals, intercepted);
      t.is(report.rules.match(/-A OUTPUT -j ISTIO_OUTPUT$/gm)?.length, 1);
      t.is(report.rules.match(/-A PREROUTING -p tcp -j ISTIO_INBOUND$/gm)?.length, 1);
      t.notRegex(report.after, /ISTIO|15001/);
      t.deepEqual(report.cleaned, {
        'neighbour → application': 'application',
        'application → neighbour': 'neighbour',
      });
    },
  );

  real('what is excluded is left alone', async (t) => {
    const range = family === 4 ? '10.1.1.0/24' : 'fd00:1::/64';
    const report = await run(family, [...asInjected, '-i', '*', '-x', range, '-b', '*', '-d', '8080', '-c', 'v9']);
    t.deepEqual(report.codes, [0, 0, 0]);
    t.deepEqual(report.arrivals, {
      ...intercepted,
      'application → neighbour': 'neighbour',
      'neighbour → application': 'application',
      'neighbour → agent': 'inbound',
    });
    t.is(report.rules.match(/-A PREROUTING -i v9 -j RETURN/g)?.length, 1);
    t.notRegex(report.after, /ISTIO|v9/);
  });

  real('only what is included is intercepted', async (t) => {
    const range = family === 4 ? '10.9.0.0/16' : 'fd00:9::/32';
    const report = await run(family, [...asInjected, '-i', range, '-b', '15020', '-q', '9000']);
    t.deepEqual(report.arrivals, {
      ...intercepted,
      'neighbour → application': 'application',
      'neighbour → agent': 'inbound',
    });
    const none = await run(family, asInjected);
    t.is(none.arrivals['application → neighbour'], 'neighbour');
    t.is(none.arrivals['neighbour → application'], 'application');
    t.is(none.arrivals['proxy → application, pod address'], 'inbound');
  });

  real('questions to the resolvers of resolv.conf are answered by the proxy, whose own are not', async (t) => {
    const ask = (...more: string[]) =>
      run<DnsReport>(family, [...everything, '--redirect-dns', ...more], 'dns-redirection', '--mount');
    const mesh = 'cart A 10.0.0.1';
    const outside = { name: 'a.org A 9.9.9.9', mesh: 'cart A 9.9.9.9' };
    const both = (answers: (protocol: string) => Array<[string, string]>) =>
      Object.fromEntries([...answers('udp'), ...answers('tcp')]);
    const named = await ask();
    t.is(named.code, 0);
    t.deepEqual(
      named.answers,
      both((protocol) => [
        [`application, ${protocol}, a name of the mesh`, mesh],
        [`application, ${protocol}, another name`, outside.name],
        // By TCP it is a connection as any other, and goes to 15001, where nobody listens here.
        [`application, ${protocol}, of another server`, protocol === 'udp' ? outside.mesh : 'ECONNREFUSED'],
        [`proxy, ${protocol}`, outside.mesh],
      ]),
    );
    t.deepEqual([named.requests, named.forwarded], [4, 2]);
    const all = await ask('--capture-all-dns');
    t.deepEqual(
      all.answers,
      both((protocol) => [
        [`application, ${protocol}, a name of the mesh`, mesh],
        [`application, ${protocol}, another name`, outside.name],
        [`application, ${protocol}, of another server`, mesh],
        [`proxy, ${protocol}`, outside.mesh],
      ]),
    );
  });
}
