import test from 'ava';
import fc from 'fast-check';
import { familiesOf } from './netfilter.ts';
import { OptionError, readOptions } from './options.ts';
import { readSaved, restoreInput, untraceable } from './restore.ts';
import { rules } from './rules.ts';

const asInjected = '-p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020'.split(' ');
const input = (args: string[], family: 4 | 6 = 4, nameservers: string[] = []) =>
  restoreInput(rules(readOptions(args, {}), family, nameservers));

test('the rules of an injected pod are those of Istio, in order', (t) => {
  t.is(
    input(asInjected),
    `*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_REDIRECT - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
`,
  );
});

test('IPv6 has its own loopback addresses and only its own ranges', (t) => {
  const text = input(['-i', '10.0.0.0/8,fd00::/8', '-x', 'fd00:1::/32,10.1.0.0/16', '-b', '80'], 6);
  t.regex(text, /-s ::6\/128 -j RETURN/);
  t.regex(text, /! -d ::1\/128 /);
  t.regex(text, /-d fd00:1::\/32 -j RETURN\n-A ISTIO_OUTPUT -d fd00::\/8 -j ISTIO_REDIRECT/);
  t.notRegex(text, /10\.|127\./);
});

test('loopback named as a range is intercepted', (t) => {
  t.notRegex(input(['-i', '127.1.2.3/32']), /-o lo -m owner ! /);
  t.regex(input(['-i', '10.0.0.0/8']), /-o lo -m owner ! /);
});

test('a virtual interface goes to the proxy for what is included, and nowhere otherwise', (t) => {
  const text = input(['-i', '10.0.0.0/8', '-k', 'net1']);
  t.regex(text, /-I PREROUTING 1 -i net1 -j RETURN\n[\s\S]*-I PREROUTING 1 -i net1 -d 10.0.0.0\/8 -j ISTIO_REDIRECT\n/);
});

test('DNS goes to the agent: to the servers of resolv.conf, or to any', (t) => {
  const named = input(['-i', '*', '--redirect-dns'], 4, ['10.96.0.10', 'fd00::a']);
  t.regex(named, /-A ISTIO_OUTPUT_DNS -p udp --dport 53 -d 10.96.0.10\/32 -j REDIRECT --to-ports 15053/);
  t.regex(named, /\*raw\n[\s\S]*-A ISTIO_INBOUND -p udp --sport 53 -s 10.96.0.10\/32 -j CT --zone 1/);
  t.notRegex(named, /fd00/);
  t.regex(input(['--redirect-dns', '--capture-all-dns']), /-A ISTIO_OUTPUT_DNS -p tcp --dport 53 -j REDIRECT/);
  t.notRegex(input(['--redirect-dns']), /DNS/);
});

test('TPROXY marks instead of redirecting inbound traffic', (t) => {
  const text = input(['-m', 'TPROXY', '-b', '*', '-d', '15020']);
  t.regex(text, /\*mangle[\s\S]*-j TPROXY --tproxy-mark 1337\/0xffffffff --on-port 15006/);
  t.regex(text, /-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN\n-A ISTIO_INBOUND -p tcp -m conntrack/);
  t.notRegex(text, /PREROUTING -p tcp -j ISTIO_INBOUND\n-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT/);
});

test('owner groups narrow what is intercepted', (t) => {
  const text = (env: Record<string, string>) => restoreInput(rules(readOptions(['-i', '*'], env), 4));
  t.regex(
    text({ ISTIO_OUTBOUND_OWNER_GROUPS: 'java,202' }),
    /-m owner ! --gid-owner java -m owner ! --gid-owner 202 -j RETURN/,
  );
  t.regex(text({ ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: '888' }), /-A ISTIO_OUTPUT -m owner --gid-owner 888 -j RETURN/);
});

test('an earlier run is replaced in the same transaction', (t) => {
  const saved = readSaved(`*nat
:PREROUTING ACCEPT [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_OUTPUT_DNS - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j ISTIO_OUTPUT_DNS
-A ISTIO_INBOUND -p tcp -j RETURN
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
`);
  t.deepEqual([...saved.keys()], ['nat']);
  const text = restoreInput(rules(readOptions(asInjected, {}), 4), saved);
  t.regex(
    text,
    /:ISTIO_OUTPUT_DNS - \[0:0\]\n-D PREROUTING -p tcp -j ISTIO_INBOUND\n-D OUTPUT -j ISTIO_OUTPUT_DNS\n-X ISTIO_OUTPUT_DNS\n/,
  );
  t.notRegex(text, /KUBE/);
  t.is(restoreInput([], new Map()), '');
  t.regex(restoreInput([], saved), /-X ISTIO_INBOUND\n/);
});

test('flags come in every way of writing, and from the environment', (t) => {
  for (const args of [
    ['-p', '16001', '-b', '80'],
    ['-p=16001', '-b80'],
    ['--envoy-port', '16001', '--istio-inbound-ports=80'],
  ]) {
    const { outboundPort, inboundPortsInclude } = readOptions(args, { ENVOY_PORT: '1' });
    t.deepEqual([outboundPort, inboundPortsInclude], [16001, ['80']]);
  }
  t.is(readOptions([], { ENVOY_PORT: '16001' }).outboundPort, 16001);
  t.true(readOptions([], { ISTIO_META_DNS_CAPTURE: 'true' }).redirectDns);
  t.deepEqual(readOptions(['-u', '5'], {}).proxyGids, ['5']);
  t.true(readOptions(['--log_output_level=default:error'], {}).quiet);
});

test('what is wrong on the command line is named', (t) => {
  const message = (args: string[]) => t.throws(() => readOptions(args, {}), { instanceOf: OptionError })?.message;
  t.is(message(['-p', 'x']), '-p, --envoy-port must be a number from 1 to 65535, is "x"');
  t.is(message(['-b', '80,http']), '-b, --istio-inbound-ports must be ports with commas between, or *, has "http"');
  t.is(
    message(['-x', '10.0.0.0']),
    '-x, --istio-service-exclude-cidr must be IP ranges with commas between, has "10.0.0.0"',
  );
  t.is(message(['-c', 'a b']), '-c, --istio-exclude-interfaces must be interface names with commas between, has "a b"');
  t.is(message(['--what']), 'unknown argument "--what"; lateen iptables --help lists the flags');
  t.is(message(['-p']), 'flag needs a value: -p');
});

test('the first address of the pod decides on IPv6, dual stack takes any', (t) => {
  t.deepEqual(familiesOf({ dualStack: false }, ['10.0.0.1', 'fd00::1']), [4]);
  t.deepEqual(familiesOf({ dualStack: true }, ['10.0.0.1', 'fd00::1']), [4, 6]);
  t.deepEqual(familiesOf({ dualStack: false }, ['fd00::1']), [4, 6]);
  t.deepEqual(familiesOf({ dualStack: false }, []), [4]);
});

const ports = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }).map(String), { maxLength: 4 });
const anyArgs = fc
  .record({
    mode: fc.constantFrom('REDIRECT', 'TPROXY'),
    include: fc.oneof(fc.constant(['*']), ports),
    exclude: ports,
    outbound: fc.constantFrom('*', '', '10.0.0.0/8,fd00::/8'),
    nic: fc.constantFrom('', 'eth1', 'eth1,net2'),
    flags: fc.subarray(['--redirect-dns', '--capture-all-dns', '--drop-invalid', '--dual-stack']),
  })
  .map(({ mode, include, exclude, outbound, nic, flags }) => [
    ...['-m', mode, '-b', include.join(','), '-d', exclude.join(','), '-o', exclude.join(',')],
    ...['-i', outbound, '-c', nic, '-k', nic, ...flags],
  ]);

test('whatever the options: every chain that is used is declared, and every declared chain is used', (t) => {
  fc.assert(
    fc.property(anyArgs, fc.constantFrom<4 | 6>(4, 6), (args, family) => {
      for (const { chains, rules: list } of rules(readOptions(args, {}), family, ['10.96.0.10', 'fd00::a'])) {
        const used = list.flatMap(({ chain, match }) => [chain, match.slice(match.lastIndexOf(' ') + 1)]);
        const own = new Set(used.filter((name) => name.startsWith('ISTIO_')));
        t.deepEqual([...own].sort(), [...chains].sort());
      }
    }),
  );
});

test('whatever the options: what was set is found again and removed whole', (t) => {
  fc.assert(
    fc.property(anyArgs, (args) => {
      const tables = rules(readOptions(args, {}), 4, ['10.96.0.10']);
      const asSaved = restoreInput(tables).replaceAll(/^-I (\S+) 1 /gm, '-A $1 ');
      const left = new Set(untraceable(tables).map(({ chain, match }) => `-A ${chain} ${match}`));
      const removal = restoreInput([], readSaved(asSaved));
      for (const line of asSaved.split('\n')) {
        const [, chain] = /^-A (\S+)/.exec(line) ?? [];
        if (!chain || left.has(line)) continue;
        t.true(
          chain.startsWith('ISTIO_') ? removal.includes(`-X ${chain}\n`) : removal.includes(line.replace('-A', '-D')),
        );
      }
    }),
  );
});
