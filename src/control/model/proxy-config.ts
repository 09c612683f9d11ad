/**
 * What ProxyConfig resources say of a workload (istio.io/latest/docs/reference/config/networking/proxy-config/): those without a selector of the
 * root namespace, then of its own, lie below the pod's annotation `proxy.istio.io/config`; those that select it lie above. Of several at one
 * level the oldest counts.
 */
import type { ProxyConfig as ProxyConfigResource } from '../../api/istio/proxy-config.ts';
import { byAge, type Labels, matchesLabels } from './selector.ts';

/** In the names of the mesh's `defaultConfig`. */
export interface ProxySettings {
  concurrency?: number;
  proxyMetadata?: Record<string, string>;
  image?: { imageType?: string };
}

export interface ProxySettingsOf {
  readonly below: ProxySettings;
  readonly above: ProxySettings;
}

export function proxySettingsOf(
  resources: Iterable<ProxyConfigResource>,
  rootNamespace: string,
  namespace: string,
  labels: Labels,
): ProxySettingsOf {
  const sorted = [...resources].sort(byAge);
  const selects = ({ spec }: ProxyConfigResource) => Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const forAll = (place: string) => sorted.find((each) => each.metadata.namespace === place && !selects(each));
  const chosen = sorted.find(
    (each) =>
      each.metadata.namespace === namespace && selects(each) && matchesLabels(each.spec.selector?.matchLabels, labels),
  );
  const [root, own] = [forAll(rootNamespace), namespace === rootNamespace ? undefined : forAll(namespace)];
  return { below: merged(settingsOf(root), settingsOf(own)), above: settingsOf(chosen) };
}

function settingsOf(resource: ProxyConfigResource | undefined): ProxySettings {
  const { concurrency, environmentVariables, image } = resource?.spec ?? {};
  return {
    ...(typeof concurrency === 'number' && { concurrency }),
    ...(environmentVariables && { proxyMetadata: environmentVariables }),
    ...(image?.imageType && { image: { imageType: image.imageType } }),
  };
}

const merged = (below: ProxySettings, above: ProxySettings): ProxySettings => ({
  ...below,
  ...above,
  ...((below.proxyMetadata || above.proxyMetadata) && {
    proxyMetadata: { ...below.proxyMetadata, ...above.proxyMetadata },
  }),
});
