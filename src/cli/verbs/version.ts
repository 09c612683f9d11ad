import type { KubeClient } from '../../kube/client.ts';
import { ApiError } from '../../kube/error.ts';
import type { Pod } from '../../kube/object.ts';
import { version } from '../../lib/version.ts';
import { askControlPlanes, readSyncStatus } from '../control-plane.ts';
import { CliError, exit } from '../exit.ts';
import { render } from '../output.ts';
import { verb } from '../verb.ts';

/** A cluster that does not answer must not keep anybody from this program's own version. */
const remoteTimeoutMs = 5000;

interface Versions {
  clientVersion: { version: string; node: string };
  /** One entry a control-plane pod. */
  meshVersion?: Array<{ Component: 'pilot'; Revision: string; Info: { version: string } }>;
  /** One entry a proxy: `POD.NAMESPACE`. */
  dataPlaneVersion?: Array<{ ID: string; IstioVersion: string }>;
}

export default verb({
  name: 'version',
  summary: 'Show the versions of client, control plane and proxies',
  usage: '[--remote=false] [-o json|yaml|short]',
  examples: [
    ['Client, control planes and proxies', 'lateen version'],
    ['This program only', 'lateen version --remote=false'],
    ['For a script', 'lateen version -o json'],
  ],
  flags: {
    output: { type: 'string', short: 'o', summary: 'How to show it', choices: ['short', 'json', 'yaml'] },
    remote: { type: 'boolean', summary: 'Ask the cluster too', default: true },
    short: { type: 'boolean', short: 's', summary: 'Accepted, as istioctl has it; each version is one line anyway' },
  },
  maxArgs: 0,
  async run({ flags, kube, signal, stdout, terminal }) {
    const versions: Versions = { clientVersion: { version, node: process.versions.node } };
    if (flags.remote) {
      try {
        const client = await kube();
        try {
          Object.assign(
            versions,
            await remoteVersions(
              client,
              flags.istioNamespace,
              AbortSignal.any([signal, AbortSignal.timeout(remoteTimeoutMs)]),
            ),
          );
        } finally {
          client.close();
        }
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof CliError)) throw error;
        terminal.warning(`the cluster was not asked: ${error.message}`);
      }
    }
    if (flags.output === 'json' || flags.output === 'yaml') stdout.write(await render(versions, flags.output));
    else stdout.write(summary(versions));
    return exit.ok;
  },
});

async function remoteVersions(
  kube: KubeClient,
  namespace: string,
  signal: AbortSignal,
): Promise<Omit<Versions, 'clientVersion'>> {
  const [planes, proxies] = await Promise.all([
    askControlPlanes(kube, namespace, '/version', readVersion, signal),
    askControlPlanes(kube, namespace, '/debug/syncz', readSyncStatus, signal),
  ]);
  return {
    meshVersion: planes.map(({ revision, answer }) => ({
      Component: 'pilot',
      Revision: revision,
      Info: { version: answer ?? 'unknown' },
    })),
    dataPlaneVersion: proxies
      .flatMap(({ answer }) => answer ?? [])
      .map(({ proxy, istio_version }) => ({ ID: proxy ?? '', IstioVersion: istio_version ?? 'unknown' })),
  };
}

/** Istio's control plane answers with a line such as `1.27.1-abc-Clean`, ours with `{"version": …}`. */
function readVersion(body: string, pod: Pod): string {
  try {
    const answer = JSON.parse(body) as { version?: unknown };
    if (typeof answer.version === 'string') return answer.version;
  } catch {
    if (/^[\w.+-]{1,80}$/.test(body.trim())) return body.trim();
  }
  return pod.spec?.containers[0]?.image?.split(':').at(-1) ?? 'unknown';
}

function summary({ clientVersion, meshVersion, dataPlaneVersion }: Versions): string {
  let text = `client version: ${clientVersion.version}\n`;
  if (meshVersion?.length === 0) text += 'control plane: none is running\n';
  for (const found of new Set(meshVersion?.map(({ Info }) => Info.version)))
    text += `control plane version: ${found}\n`;
  if (meshVersion?.length) {
    const proxies = Map.groupBy(dataPlaneVersion ?? [], ({ IstioVersion }) => IstioVersion);
    const counts = [...proxies].map(
      ([found, all]) => `${found} (${all.length} ${all.length === 1 ? 'proxy' : 'proxies'})`,
    );
    text += `data plane version: ${counts.length > 0 ? counts.join(', ') : 'none'}\n`;
  }
  return text;
}
