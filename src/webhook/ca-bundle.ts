/**
 * Keeps the CA's root in the webhook configurations, so that the API server trusts the webhooks' certificate
 * (Istio: the webhook patcher, pkg/webhooks/webhookpatch.go).
 */
import type { KubeClient } from '../kube/client.ts';
import { ApiError } from '../kube/error.ts';
import {
  type ApiObject,
  mutatingWebhookConfigurations,
  type Resource,
  validatingWebhookConfigurations,
} from '../kube/object.ts';
import type { WebhookLog } from './log.ts';

export interface CaBundleOptions {
  kube: KubeClient;
  /** The control plane's revision; configurations with another `istio.io/rev` label are left alone. */
  revision: string;
  /** `clientConfig.service.namespace` of the webhooks that are ours. */
  namespace: string;
  log: WebhookLog;
  signal?: AbortSignal;
}

interface WebhookConfiguration extends ApiObject {
  webhooks?: Array<{
    name: string;
    clientConfig?: { caBundle?: string; service?: { name?: string; namespace?: string } };
  }>;
}

const kinds = [mutatingWebhookConfigurations, validatingWebhookConfigurations] as ReadonlyArray<
  Resource<WebhookConfiguration>
>;

/**
 * Writes `rootPem` (one or more PEM certificates) into each webhook of this control plane that holds something else.
 * Returns how many configurations were written; nothing to change writes nothing. Throws `ApiError`.
 */
export async function patchCaBundles(rootPem: string, options: CaBundleOptions): Promise<number> {
  const { kube, revision, log, signal } = options;
  const caBundle = Buffer.from(rootPem).toString('base64');
  let written = 0;
  for (const kind of kinds) {
    const { items } = await kube.list(kind, { labelSelector: `istio.io/rev=${revision}`, signal });
    for (const item of items) {
      const operations = operationsFor(item, caBundle, options);
      if (operations.length === 0) continue;
      const name = item.metadata?.name ?? '';
      try {
        await kube.patch(kind, name, undefined, operations, { signal, fieldManager: 'lateen-control' });
      } catch (error) {
        // Changed or deleted since it was listed: the next round sees how it is now.
        if (error instanceof ApiError && [404, 409, 422].includes(error.code)) {
          log.warn({ kind: kind.kind, name, error: error.message }, 'the CA bundle could not be written yet');
          continue;
        }
        throw error;
      }
      written++;
      log.info({ kind: kind.kind, name }, 'CA bundle written');
    }
  }
  return written;
}

/** JSON patch operations, each guarded by a test of the webhook's name: the list may have changed meanwhile. */
export function operationsFor(
  configuration: WebhookConfiguration,
  caBundle: string,
  { revision, namespace }: Pick<CaBundleOptions, 'revision' | 'namespace'>,
): object[] {
  const services = ['istiod', `istiod-${revision}`, 'istiod-revision-tag-default'];
  return (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, index) => {
    const service = clientConfig?.service;
    if (!service || service.namespace !== namespace || !services.includes(service.name ?? '')) return [];
    if (clientConfig.caBundle === caBundle) return [];
    return [
      { op: 'test', path: `/webhooks/${index}/name`, value: name },
      { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle },
    ];
  });
}
