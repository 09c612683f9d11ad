/** Opens the cluster that the global flags name. */
import type { KubeClient } from '../kube/client.ts';
import { connect } from '../kube/connect.ts';
import { version } from '../lib/version.ts';
import { CliError } from './exit.ts';
import type { globalFlags, Values } from './verb.ts';

export async function openCluster(flags: Values<typeof globalFlags>): Promise<KubeClient> {
  try {
    return await connect({ kubeconfig: flags.kubeconfig, context: flags.context, userAgent: `lateen/${version}` });
  } catch (error) {
    throw new CliError(`no Kubernetes cluster: ${error instanceof Error ? error.message : String(error)}`, {
      hint: 'name one with --kubeconfig and --context, or set KUBECONFIG',
    });
  }
}
