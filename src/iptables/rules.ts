/**
 * Which packets go to the proxy, in Istio's chains (Istio: tools/istio-iptables, "Understand the traffic capture"):
 *
 *   PREROUTING → ISTIO_INBOUND → ISTIO_IN_REDIRECT → 15006
 *   OUTPUT     → ISTIO_OUTPUT  → ISTIO_REDIRECT    → 15001      the application calls out
 *                              → ISTIO_IN_REDIRECT → 15006      the proxy calls its own application by its service
 */
import { isIPv6 } from 'node:net';
import type { InterceptionOptions } from './options.ts';

export type Family = 4 | 6;

export interface Rule {
  chain: string;
  /** What follows the chain's name in iptables' notation. */
  match: string;
  /** Goes before the rules that are there already. */
  first?: true;
}

export interface Table {
  name: 'mangle' | 'nat' | 'raw';
  /** Of ours; created, or emptied when they are there. */
  chains: string[];
  /** In order. */
  rules: Rule[];
}

/** Packets of the proxy to its own application carry this mark in TPROXY mode. */
const outboundMark = 1338;
const dnsPort = 15_053;

/** Source address of connections that the proxy passes on to its application. */
const passthroughSource = { 4: '127.0.0.6/32', 6: '::6/128' } as const;

/** Every chain that any options make, by which an earlier run is found and removed. */
export const ownChain = /^ISTIO_(INBOUND|OUTPUT|OUTPUT_DNS|REDIRECT|IN_REDIRECT|DIVERT|TPROXY|DROP)$/;

/** The tables of one IP family; a table without rules is left out. `nameservers` are those of /etc/resolv.conf. */
export function rules(options: InterceptionOptions, family: Family, nameservers: readonly string[] = []): Table[] {
  const ofFamily = (ranges: readonly string[]) =>
    ranges.filter((range) => isIPv6(range.split('/')[0]) === (family === 6));
  const dns = nameservers.filter((server) => isIPv6(server) === (family === 6));
  const redirectDns = options.redirectDns && (options.captureAllDns || nameservers.length > 0);
  const scope: Scope = {
    options,
    loopback: family === 4 ? options.loopbackV4 : '::1/128',
    passthrough: passthroughSource[family],
    include: options.outboundRangesInclude[0] === '*' ? ['*'] : ofFamily(options.outboundRangesInclude),
    exclude: ofFamily(options.outboundRangesExclude),
    includesLoopback: options.outboundRangesInclude.some(isLoopback),
    redirectDns,
    dns: redirectDns ? dns : [],
    address: (server) => `${server}/${family === 4 ? 32 : 128}`,
  };
  return [mangle(scope), nat(scope), raw(scope)].filter((table) => table.rules.length > 0);
}

interface Scope {
  options: InterceptionOptions;
  loopback: string;
  passthrough: string;
  include: string[];
  exclude: string[];
  includesLoopback: boolean;
  redirectDns: boolean;
  dns: string[];
  /** An address as a range of one. */
  address(server: string): string;
}

function nat(scope: Scope): Table {
  const { options, loopback, passthrough } = scope;
  const list: Rule[] = [];
  const add = (chain: string, match: string) => list.push({ chain, match });
  const insert = (chain: string, match: string) => list.push({ chain, match, first: true });

  for (const nic of options.excludeInterfaces) {
    add('PREROUTING', `-i ${nic} -j RETURN`);
    add('OUTPUT', `-o ${nic} -j RETURN`);
  }
  for (const nic of options.rerouteInterfaces) insert('PREROUTING', `-i ${nic} -j RETURN`);

  add('ISTIO_INBOUND', `-p tcp --dport ${options.tunnelPort} -j RETURN`);
  add('ISTIO_REDIRECT', `-p tcp -j REDIRECT --to-ports ${options.outboundPort}`);
  add('ISTIO_IN_REDIRECT', `-p tcp -j REDIRECT --to-ports ${options.inboundPort}`);

  if (options.inboundPortsInclude.length > 0 && options.mode === 'REDIRECT') {
    add('PREROUTING', '-p tcp -j ISTIO_INBOUND');
    if (options.inboundPortsInclude[0] === '*') {
      for (const port of options.inboundPortsExclude) add('ISTIO_INBOUND', `-p tcp --dport ${port} -j RETURN`);
      add('ISTIO_INBOUND', '-p tcp -j ISTIO_IN_REDIRECT');
    } else {
      for (const port of options.inboundPortsInclude)
        add('ISTIO_INBOUND', `-p tcp --dport ${port} -j ISTIO_IN_REDIRECT`);
    }
  }

  add('OUTPUT', '-j ISTIO_OUTPUT');
  for (const port of options.outboundPortsExclude)
    for (const protocol of ['tcp', 'udp']) add('ISTIO_OUTPUT', `-p ${protocol} --dport ${port} -j RETURN`);
  add('ISTIO_OUTPUT', `-o lo -s ${passthrough} -j RETURN`);
  for (const [kind, ids] of [
    ['uid', options.proxyUids],
    ['gid', options.proxyGids],
  ] as const)
    for (const id of ids) ownerRules(scope, kind, id, add);

  const [everyGroup] = options.ownerGroupsInclude;
  if (everyGroup === '*') {
    for (const group of options.ownerGroupsExclude) add('ISTIO_OUTPUT', `-m owner --gid-owner ${group} -j RETURN`);
  } else if (options.ownerGroupsInclude.length > 0) {
    const none = options.ownerGroupsInclude.map((group) => `-m owner ! --gid-owner ${group}`);
    add('ISTIO_OUTPUT', `${none.join(' ')} -j RETURN`);
  }

  // Before the loopback rule: a name server may well be on loopback.
  if (scope.redirectDns) {
    const to = (protocol: string, destination: string) =>
      add('ISTIO_OUTPUT_DNS', `-p ${protocol} --dport 53${destination} -j REDIRECT --to-ports ${dnsPort}`);
    const destinations = options.captureAllDns ? [''] : scope.dns.map((server) => ` -d ${scope.address(server)}`);
    if (destinations.length > 0) add('ISTIO_OUTPUT', '-j ISTIO_OUTPUT_DNS');
    for (const protocol of ['tcp', 'udp']) for (const destination of destinations) to(protocol, destination);
  }

  add('ISTIO_OUTPUT', `-d ${loopback} -j RETURN`);
  for (const range of scope.exclude) add('ISTIO_OUTPUT', `-d ${range} -j RETURN`);
  for (const port of options.outboundPortsInclude) add('ISTIO_OUTPUT', `-p tcp --dport ${port} -j ISTIO_REDIRECT`);
  for (const range of scope.include) {
    const destination = range === '*' ? '' : `-d ${range} `;
    for (const nic of options.rerouteInterfaces) insert('PREROUTING', `-i ${nic} ${destination}-j ISTIO_REDIRECT`);
    add('ISTIO_OUTPUT', `${destination}-j ISTIO_REDIRECT`);
  }

  const chains = ['ISTIO_INBOUND', 'ISTIO_REDIRECT', 'ISTIO_IN_REDIRECT', 'ISTIO_OUTPUT'];
  if (list.some(({ chain, match }) => chain === 'ISTIO_OUTPUT_DNS' || match.endsWith('ISTIO_OUTPUT_DNS')))
    chains.push('ISTIO_OUTPUT_DNS');
  return { name: 'nat', chains, rules: list };
}

/**
 * The proxy's own packets. In order: to its own application by the service's address → the inbound listener, so that the
 * call is treated as one from outside; the application to itself over loopback → left alone; everything else of the proxy
 * → left alone, or it would go round for ever.
 */
function ownerRules(
  { options, loopback, includesLoopback, redirectDns }: Scope,
  kind: 'uid' | 'gid',
  id: string,
  add: (chain: string, match: string) => void,
): void {
  // With DNS on, the application asks the agent, and the agent's own question must not come back in.
  const notTunnel =
    redirectDns && kind === 'uid'
      ? `-m multiport ! --dports 53,${options.tunnelPort}`
      : `! --dport ${options.tunnelPort}`;
  add('ISTIO_OUTPUT', `-o lo ! -d ${loopback} -p tcp ${notTunnel} -m owner --${kind}-owner ${id} -j ISTIO_IN_REDIRECT`);
  // Loopback named as a range to intercept is meant.
  if (!includesLoopback) {
    const notDns = redirectDns ? '-p tcp ! --dport 53 ' : '';
    add('ISTIO_OUTPUT', `-o lo ${notDns}-m owner ! --${kind}-owner ${id} -j RETURN`);
  }
  add('ISTIO_OUTPUT', `-m owner --${kind}-owner ${id} -j RETURN`);
}

function mangle({ options, loopback, passthrough }: Scope): Table {
  const list: Rule[] = [];
  const add = (chain: string, match: string) => list.push({ chain, match });
  const chains: string[] = [];
  const mark = options.tproxyMark;

  if (options.mode === 'TPROXY')
    for (const nic of options.excludeInterfaces) {
      add('PREROUTING', `-i ${nic} -j RETURN`);
      add('OUTPUT', `-o ${nic} -j RETURN`);
    }
  if (options.dropInvalid) {
    chains.push('ISTIO_DROP');
    add('PREROUTING', '-m conntrack --ctstate INVALID -j ISTIO_DROP');
    add('ISTIO_DROP', '-j DROP');
  }
  if (options.mode !== 'TPROXY') return { name: 'mangle', chains, rules: list };

  const intercepts = options.inboundPortsInclude.length > 0;
  chains.push('ISTIO_INBOUND');
  // What the proxy sends on under its caller's address carries the mark and has been here before.
  add('ISTIO_INBOUND', `-p tcp -m mark --mark ${mark} -j RETURN`);
  add('ISTIO_INBOUND', `-p tcp -s ${passthrough} -i lo -j RETURN`);
  // The application to itself by the pod's address; what the proxy sends to it has the other mark.
  add('ISTIO_INBOUND', `-p tcp -i lo -m mark ! --mark ${outboundMark} -j RETURN`);
  if (intercepts) {
    chains.push('ISTIO_DIVERT', 'ISTIO_TPROXY');
    add('ISTIO_DIVERT', `-j MARK --set-mark ${mark}`);
    add('ISTIO_DIVERT', '-j ACCEPT');
    const target = `--tproxy-mark ${mark}/0xffffffff --on-port ${options.inboundPort}`;
    add('ISTIO_TPROXY', `! -d ${loopback} -p tcp -j TPROXY ${target}`);
    add('PREROUTING', '-p tcp -j ISTIO_INBOUND');
    const all = options.inboundPortsInclude[0] === '*';
    if (all) for (const port of options.inboundPortsExclude) add('ISTIO_INBOUND', `-p tcp --dport ${port} -j RETURN`);
    for (const port of all ? [''] : options.inboundPortsInclude) {
      const to = port === '' ? '' : ` --dport ${port}`;
      add('ISTIO_INBOUND', `-p tcp${to} -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT`);
      add('ISTIO_INBOUND', `-p tcp${to} -j ISTIO_TPROXY`);
    }
  }
  add('PREROUTING', `-p tcp -m mark --mark ${mark} -j CONNMARK --save-mark`);
  add('OUTPUT', `-p tcp -o lo -m mark --mark ${mark} -j RETURN`);
  for (const [kind, ids] of [
    ['uid', options.proxyUids],
    ['gid', options.proxyGids],
  ] as const)
    for (const id of ids)
      add('OUTPUT', `! -d ${loopback} -p tcp -o lo -m owner --${kind}-owner ${id} -j MARK --set-mark ${outboundMark}`);
  add('OUTPUT', `-p tcp -m connmark --mark ${mark} -j CONNMARK --restore-mark`);
  return { name: 'mangle', chains, rules: list };
}

/** Two conntrack zones keep the application's DNS questions apart from the agent's own under the same ports. */
function raw({ options, redirectDns, dns, address }: Scope): Table {
  const list: Rule[] = [];
  const add = (chain: string, match: string) => list.push({ chain, match });
  if (!redirectDns) return { name: 'raw', chains: [], rules: [] };
  const chains = ['ISTIO_OUTPUT_DNS'];
  add('OUTPUT', '-j ISTIO_OUTPUT_DNS');
  for (const [kind, ids] of [
    ['uid', options.proxyUids],
    ['gid', options.proxyGids],
  ] as const)
    for (const id of ids) {
      add('ISTIO_OUTPUT_DNS', `-p udp --dport 53 -m owner --${kind}-owner ${id} -j CT --zone 1`);
      add('ISTIO_OUTPUT_DNS', `-p udp --sport ${dnsPort} -m owner --${kind}-owner ${id} -j CT --zone 2`);
    }
  const servers = options.captureAllDns ? [null] : dns.map(address);
  if (servers.length > 0) {
    chains.push('ISTIO_INBOUND');
    add('PREROUTING', '-j ISTIO_INBOUND');
  }
  for (const server of servers) {
    add('ISTIO_OUTPUT_DNS', `-p udp --dport 53${server ? ` -d ${server}` : ''} -j CT --zone 2`);
    add('ISTIO_INBOUND', `-p udp --sport 53${server ? ` -s ${server}` : ''} -j CT --zone 1`);
  }
  return { name: 'raw', chains, rules: list };
}

function isLoopback(range: string): boolean {
  return range.startsWith('127.') || /^(0*:)*:?0*1\/128$/.test(range) || range.startsWith('::1/');
}
