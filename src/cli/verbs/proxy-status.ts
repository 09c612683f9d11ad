import { askControlPlanes, readSyncStatus, type SyncStatus } from '../control-plane.ts';
import { CliError, exit } from '../exit.ts';
import { render } from '../output.ts';
import { formatTable } from '../table.ts';
import { verb } from '../verb.ts';

const header = ['NAME', 'CLUSTER', 'CDS', 'LDS', 'EDS', 'RDS', 'ECDS', 'ISTIOD', 'VERSION'];

/** istioctl's words: nothing asked for, nothing sent, the last one taken, or one on its way. */
export function syncWord(sent: string | undefined, acked: string | undefined, ifNotSent: string): string {
  if (!sent) return ifNotSent;
  return sent === acked ? 'SYNCED' : 'STALE';
}

export function statusRow(status: SyncStatus, istiod: string): string[] {
  return [
    status.proxy ?? '',
    status.cluster_id ?? '',
    syncWord(status.cluster_sent, status.cluster_acked, 'NOT SENT'),
    syncWord(status.listener_sent, status.listener_acked, 'NOT SENT'),
    syncWord(status.endpoint_sent, status.endpoint_acked, 'NOT SENT'),
    syncWord(status.route_sent, status.route_acked, 'NOT SENT'),
    syncWord(status.extensionconfig_sent, status.extensionconfig_acked, 'IGNORED'),
    istiod,
    status.istio_version ?? '',
  ];
}

export default verb({
  name: 'proxy-status',
  summary: 'Show which proxies have taken which configuration',
  usage: '[POD[.NAMESPACE]] [-n NAMESPACE] [-o json|yaml|short]',
  about:
    'SYNCED: the proxy has taken the last configuration. STALE: one was sent and not yet taken, or was refused.\n' +
    'NOT SENT: there was nothing to send. IGNORED: the proxy did not ask for it.',
  examples: [
    ['Every proxy of the mesh', 'lateen proxy-status'],
    ['The proxies of a namespace', 'lateen proxy-status -n shop'],
    ['One proxy, for a script', 'lateen proxy-status reviews-v1-6549ddccc5-xkzhp.shop -o json'],
  ],
  flags: {
    output: {
      type: 'string',
      short: 'o',
      summary: 'How to show it',
      choices: ['short', 'table', 'json', 'yaml'],
      default: 'short',
    },
    revision: { type: 'string', short: 'r', summary: 'Only control planes of this revision', placeholder: 'REVISION' },
  },
  maxArgs: 1,
  async run({ args, flags, kube, signal, stdout, terminal }) {
    const client = await kube();
    try {
      const answers = (
        await askControlPlanes(client, flags.istioNamespace, '/debug/syncz', readSyncStatus, signal)
      ).filter(({ revision }) => flags.revision === undefined || revision === flags.revision);
      if (answers.length === 0)
        throw new CliError(`no control plane runs in namespace ${flags.istioNamespace}`, {
          hint: 'name its namespace with -i, or install one with "lateen install"',
        });
      for (const { pod, problem } of answers) if (problem) terminal.warning(`${pod} did not answer: ${problem}`);
      if (answers.every(({ answer }) => answer === null)) throw new CliError('no control plane answered');

      const statuses = answers
        .flatMap(({ pod, answer }) => (answer ?? []).map((status) => ({ ...status, istiod: pod })))
        .filter(({ proxy = '' }) => isChosen(proxy, args[0], flags.namespace))
        .sort((a, b) => ((a.proxy ?? '') < (b.proxy ?? '') ? -1 : 1));
      if (args[0] !== undefined && statuses.length === 0)
        throw new CliError(`no control plane knows a proxy ${args[0]}`, { hint: '"lateen proxy-status" lists them' });

      if (flags.output === 'json' || flags.output === 'yaml') stdout.write(await render(statuses, flags.output));
      else stdout.write(formatTable([header, ...statuses.map((status) => statusRow(status, status.istiod))]));
      return exit.ok;
    } finally {
      client.close();
    }
  },
});

/** A proxy's id is `POD.NAMESPACE`. */
function isChosen(proxy: string, wanted: string | undefined, namespace: string | undefined): boolean {
  const dot = proxy.lastIndexOf('.');
  const pod = proxy.slice(0, dot);
  if (wanted?.includes('.')) return proxy === wanted;
  if (namespace !== undefined && proxy.slice(dot + 1) !== namespace) return false;
  return wanted === undefined || pod === wanted;
}
