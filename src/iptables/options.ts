/**
 * The command line of `lateen iptables`: istio-iptables' flags, each also as an environment variable
 * (`--envoy-port` ↔ `ENVOY_PORT`), as existing pod specs carry them.
 */
import { isIP } from 'node:net';

export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE';

export interface InterceptionOptions {
  outboundPort: number;
  inboundPort: number;
  /** HBONE; reaches the proxy without redirection. */
  tunnelPort: number;
  /** Numeric ids whose traffic is the proxy's own. */
  proxyUids: string[];
  proxyGids: string[];
  mode: InterceptionMode;
  tproxyMark: number;
  tproxyRouteTable: number;
  /** `*` alone means all; empty intercepts nothing. */
  inboundPortsInclude: string[];
  inboundPortsExclude: string[];
  outboundPortsInclude: string[];
  outboundPortsExclude: string[];
  /** CIDR; `*` alone means all. */
  outboundRangesInclude: string[];
  outboundRangesExclude: string[];
  /** Names or numeric ids of groups; `*` alone means all. */
  ownerGroupsInclude: string[];
  ownerGroupsExclude: string[];
  excludeInterfaces: string[];
  /** Virtual interfaces whose incoming traffic is a guest's outgoing one. */
  rerouteInterfaces: string[];
  redirectDns: boolean;
  captureAllDns: boolean;
  dropInvalid: boolean;
  dualStack: boolean;
  loopbackV4: string;
  probePort: number;
  probeTimeoutMs: number;
  skipApply: boolean;
  validate: boolean;
  cleanup: boolean;
  dryRun: boolean;
  /** Path; the process's own unless given. */
  networkNamespace: string | null;
  /** `nft` or `legacy` instead of what works. */
  binary: 'nft' | 'legacy' | null;
  quiet: boolean;
}

/** The command line or the environment is wrong; the message names the flag. */
export class OptionError extends Error {
  override name = 'OptionError';
}

interface Flag {
  short?: string;
  boolean?: true;
  value: string;
  summary: string;
}

const flags = {
  'envoy-port': { short: 'p', value: '15001', summary: 'Port that outbound TCP traffic is redirected to' },
  'inbound-capture-port': { short: 'z', value: '15006', summary: 'Port that inbound TCP traffic is redirected to' },
  'inbound-tunnel-port': { short: 'e', value: '15008', summary: 'Port of tunnels, never redirected' },
  'proxy-uid': { short: 'u', value: '1337', summary: 'User ids of the proxy, never redirected' },
  'proxy-gid': { short: 'g', value: '', summary: 'Group ids of the proxy; as the user ids unless given' },
  'istio-inbound-interception-mode': { short: 'm', value: 'REDIRECT', summary: 'REDIRECT, TPROXY or NONE' },
  'istio-inbound-ports': { short: 'b', value: '', summary: 'Inbound ports to redirect, * for all' },
  'istio-local-exclude-ports': { short: 'd', value: '', summary: 'Inbound ports to leave alone' },
  'istio-exclude-interfaces': { short: 'c', value: '', summary: 'Interfaces to leave alone' },
  'istio-service-cidr': { short: 'i', value: '', summary: 'Outbound ranges to redirect, * for all' },
  'istio-service-exclude-cidr': { short: 'x', value: '', summary: 'Outbound ranges to leave alone' },
  'istio-outbound-ports': { short: 'q', value: '', summary: 'Outbound ports to redirect whatever their range' },
  'istio-local-outbound-ports-exclude': { short: 'o', value: '', summary: 'Outbound ports to leave alone' },
  'kube-virt-interfaces': { short: 'k', value: '', summary: "Interfaces whose inbound traffic is a guest's outbound" },
  'istio-inbound-tproxy-mark': { short: 't', value: '1337', summary: 'Mark of packets in TPROXY mode' },
  'istio-inbound-tproxy-route-table': { short: 'r', value: '133', summary: 'Routing table in TPROXY mode' },
  'dry-run': { short: 'n', boolean: true, value: 'false', summary: 'Print the rules and change nothing' },
  'iptables-probe-port': { value: '15002', summary: 'Port that --run-validation connects to' },
  'probe-timeout': { value: '5s', summary: 'How long --run-validation tries' },
  'skip-rule-apply': { boolean: true, value: 'false', summary: 'Do not apply the rules' },
  'run-validation': { boolean: true, value: 'false', summary: 'Prove that connections are redirected' },
  'redirect-dns': { boolean: true, value: 'false', summary: 'Redirect DNS to the proxy' },
  'capture-all-dns': { boolean: true, value: 'false', summary: 'Redirect DNS to any server' },
  'drop-invalid': { boolean: true, value: 'false', summary: 'Drop packets in state INVALID' },
  'dual-stack': { boolean: true, value: 'false', summary: 'Both IP families' },
  'network-namespace': { value: '', summary: 'Network namespace to work in' },
  'cleanup-only': { boolean: true, value: 'false', summary: 'Remove the rules' },
  cleanup: { boolean: true, value: 'false', summary: 'The same' },
  'force-iptables-binary': { value: '', summary: 'nft or legacy' },
  log_output_level: { value: 'default:info', summary: 'default:error prints only errors' },
  // Taken for the sake of existing pod specs; each is so in any case or has nothing to act on.
  'iptables-version': { value: '', summary: 'Has no effect' },
  'force-apply': { boolean: true, value: 'false', summary: 'Has no effect: rules are always applied' },
  reconcile: { boolean: true, value: 'false', summary: 'Has no effect: older rules are always replaced' },
  'cni-mode': { boolean: true, value: 'false', summary: 'Has no effect' },
  'native-nftables': { boolean: true, value: 'false', summary: 'Has no effect: iptables-nft comes first' },
  'iptables-trace-logging': { boolean: true, value: 'false', summary: 'Has no effect' },
  log_as_json: { boolean: true, value: 'false', summary: 'Has no effect' },
  log_target: { value: '', summary: 'Has no effect' },
  log_caller: { value: '', summary: 'Has no effect' },
  log_stacktrace_level: { value: '', summary: 'Has no effect' },
} as const satisfies Record<string, Flag>;

type FlagName = keyof typeof flags;
type Environment = Readonly<Record<string, string | undefined>>;

const byShort = new Map<string, FlagName>(
  (Object.entries(flags) as Array<[FlagName, Flag]>).flatMap(([name, { short }]) => (short ? [[short, name]] : [])),
);

/** Further environment variables of the same meaning. */
const alsoFrom: Partial<Record<FlagName, string>> = {
  'redirect-dns': 'ISTIO_META_DNS_CAPTURE',
  'drop-invalid': 'INVALID_DROP',
  'dual-stack': 'ISTIO_DUAL_STACK',
};

/** Throws `OptionError`. */
export function readOptions(args: readonly string[], env: Environment): InterceptionOptions {
  const given = readFlags(args);
  const text = (name: FlagName): string => {
    const variable = name.toUpperCase().replaceAll('-', '_');
    const also = alsoFrom[name];
    return given.get(name) ?? env[variable] ?? (also && env[also]) ?? flags[name].value;
  };
  const list = (name: FlagName, item: (text: string) => boolean, what: string, wildcard = false): string[] => {
    const items = split(text(name));
    if (wildcard && items.length === 1 && items[0] === '*') return items;
    const wrong = items.find((each) => !item(each));
    if (wrong !== undefined)
      fail(name, `must be ${what} with commas between${wildcard ? ', or *' : ''}, has "${wrong}"`);
    return items;
  };
  const number = (name: FlagName, maximum: number): number => {
    const value = text(name);
    if (!/^\d{1,10}$/.test(value) || Number(value) > maximum || Number(value) < 1)
      fail(name, `must be a number from 1 to ${maximum}, is "${value}"`);
    return Number(value);
  };
  const flag = (name: FlagName): boolean => {
    const value = text(name).toLowerCase();
    if (!['true', 'false', '1', '0', 't', 'f', ''].includes(value)) fail(name, `must be true or false, is "${value}"`);
    return ['true', '1', 't'].includes(value);
  };

  const mode = text('istio-inbound-interception-mode');
  if (mode !== 'REDIRECT' && mode !== 'TPROXY' && mode !== 'NONE' && mode !== '')
    fail('istio-inbound-interception-mode', `must be REDIRECT, TPROXY or NONE, is "${mode}"`);
  const binary = text('force-iptables-binary').replace(/^iptables-/, '');
  if (binary !== '' && binary !== 'nft' && binary !== 'legacy')
    fail('force-iptables-binary', `must be nft or legacy, is "${binary}"`);
  const proxyUids = list('proxy-uid', isId, 'numeric user ids');
  const proxyGids = list('proxy-gid', isId, 'numeric group ids');
  const loopbackV4 = env.ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR || '127.0.0.1/32';
  if (!isRange(loopbackV4))
    throw new OptionError(`ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR must be a range, is "${loopbackV4}"`);
  const group = (variable: string, otherwise: string) => {
    const items = split(env[variable] ?? otherwise);
    const wrong = items.find((each) => !/^(\*|[\w.-]{1,32})$/.test(each));
    if (wrong !== undefined) throw new OptionError(`${variable} must be groups with commas between, has "${wrong}"`);
    return items;
  };

  return {
    outboundPort: number('envoy-port', 65_535),
    inboundPort: number('inbound-capture-port', 65_535),
    tunnelPort: number('inbound-tunnel-port', 65_535),
    proxyUids: proxyUids.length > 0 ? proxyUids : ['1337'],
    proxyGids: proxyGids.length > 0 ? proxyGids : proxyUids.length > 0 ? proxyUids : ['1337'],
    mode: mode === '' ? 'REDIRECT' : mode,
    tproxyMark: number('istio-inbound-tproxy-mark', 2 ** 32 - 1),
    tproxyRouteTable: number('istio-inbound-tproxy-route-table', 2 ** 31 - 1),
    inboundPortsInclude: list('istio-inbound-ports', isPort, 'ports', true),
    inboundPortsExclude: list('istio-local-exclude-ports', isPort, 'ports'),
    outboundPortsInclude: list('istio-outbound-ports', isPort, 'ports'),
    outboundPortsExclude: list('istio-local-outbound-ports-exclude', isPort, 'ports'),
    outboundRangesInclude: list('istio-service-cidr', isRange, 'IP ranges', true),
    outboundRangesExclude: list('istio-service-exclude-cidr', isRange, 'IP ranges'),
    ownerGroupsInclude: group('ISTIO_OUTBOUND_OWNER_GROUPS', '*'),
    ownerGroupsExclude: group('ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE', ''),
    excludeInterfaces: list('istio-exclude-interfaces', isInterface, 'interface names'),
    rerouteInterfaces: list('kube-virt-interfaces', isInterface, 'interface names'),
    redirectDns: flag('redirect-dns'),
    captureAllDns: flag('capture-all-dns'),
    dropInvalid: flag('drop-invalid'),
    dualStack: flag('dual-stack'),
    loopbackV4,
    probePort: number('iptables-probe-port', 65_535),
    probeTimeoutMs: durationMs(text('probe-timeout')),
    skipApply: flag('skip-rule-apply'),
    validate: flag('run-validation'),
    cleanup: flag('cleanup-only') || flag('cleanup'),
    dryRun: flag('dry-run'),
    networkNamespace: text('network-namespace') || null,
    binary: binary === '' ? null : binary,
    quiet: /(^|[,:])(error|fatal|none)$/.test(text('log_output_level')),
  };
}

/** `-p 15001`, `-p=15001`, `-p15001`, `--envoy-port 15001`, `--envoy-port=15001`; booleans need no value. */
function readFlags(args: readonly string[]): Map<FlagName, string> {
  const given = new Map<FlagName, string>();
  for (let i = 0; i < args.length; i++) {
    const [, long, short, rest] = /^(?:--([\w-]+)|-(\w))([\s\S]*)$/.exec(args[i]) ?? [];
    const name = long === undefined ? byShort.get(short) : Object.hasOwn(flags, long) ? (long as FlagName) : undefined;
    if (name === undefined)
      throw new OptionError(`unknown argument "${args[i]}"; lateen iptables --help lists the flags`);
    const flag: Flag = flags[name];
    if (rest.startsWith('=')) given.set(name, rest.slice(1));
    else if (rest !== '' && long === undefined) given.set(name, rest);
    else if (rest !== '') throw new OptionError(`unknown argument "${args[i]}"`);
    else if (flag.boolean) given.set(name, 'true');
    else if (i + 1 < args.length) given.set(name, args[++i]);
    else throw new OptionError(`flag needs a value: ${args[i]}`);
  }
  return given;
}

export function helpText(): string {
  const lines = (Object.entries(flags) as Array<[string, Flag]>).map(([name, { short, value, boolean, summary }]) => {
    const shown = `${short ? `-${short}, ` : '    '}--${name}${boolean ? '' : ` ${value || 'VALUE'}`}`;
    return `  ${shown.padEnd(50)}${summary}`;
  });
  return `Redirects a pod's traffic to its proxy (istio-iptables' flags).\n\nlateen iptables [flags]\n\n${lines.join('\n')}\n`;
}

function fail(name: FlagName, problem: string): never {
  const { short }: Flag = flags[name];
  throw new OptionError(`${short ? `-${short}, ` : ''}--${name} ${problem}`);
}

function split(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32;
}

function isInterface(text: string): boolean {
  return /^[A-Za-z0-9_.:@+-]{1,15}$/.test(text);
}

function isRange(text: string): boolean {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(bits ?? '') && Number(bits) <= (family === 4 ? 32 : 128);
}

function durationMs(text: string): number {
  const [, amount, unit] = /^(\d{1,6})(ms|s|m)$/.exec(text) ?? [];
  if (amount === undefined) fail('probe-timeout', `must be a duration such as 5s, is "${text}"`);
  return Number(amount) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
}
