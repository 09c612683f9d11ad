import type { Cluster_LbSubsetConfig } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { Cluster_LbSubsetConfigSchema as ClusterSubsetSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { Subset } from '../../xds/gen/envoy/extensions/load_balancing_policies/subset/v3/subset_pb.js';
import { SubsetSchema } from '../../xds/gen/envoy/extensions/load_balancing_policies/subset/v3/subset_pb.js';
import { type Field, words } from './field.ts';
import type { SubsetFallback, SubsetSelector, Subsets } from './table.ts';

const known =
  words(`fallback_policy default_subset subset_selectors locality_weight_aware scale_locality_weight panic_mode_any
  list_as_any`);
const knownOfExtension = new Set([...known, 'subset_lb_policy']);
const fallbacks: readonly SubsetFallback[] = ['none', 'any', 'default'];
const selectorFallbacks: ReadonlyArray<SubsetSelector['fallback']> = [null, 'none', 'any', 'default', 'keys'];

/** Null when there are no selectors: as in Envoy, the rest has no effect then. */
export function compileSubsets(field: Field, message: Cluster_LbSubsetConfig | Subset): Subsets | null {
  if (message.$typeName === ClusterSubsetSchema.typeName) field.only(ClusterSubsetSchema, message, known);
  else field.only(SubsetSchema, message, knownOfExtension);
  if (message.subsetSelectors.length === 0) return null;
  return {
    fallback: fallbacks[message.fallbackPolicy] ?? 'none',
    defaultSubset: message.defaultSubset ?? {},
    selectors: message.subsetSelectors.map((selector, i) => {
      const at = field.at('subset_selectors', i);
      const keys = [...new Set(selector.keys)].sort();
      if (selector.singleHostPerSubset && keys.length !== 1)
        at.at('keys').fail('must be one with single_host_per_subset');
      const fallbackKeys = [...new Set(selector.fallbackKeysSubset)].sort();
      const fallback = selectorFallbacks[selector.fallbackPolicy] ?? null;
      if (fallback === 'keys' && (fallbackKeys.length === 0 || !fallbackKeys.every((key) => keys.includes(key))))
        at.at('fallback_keys_subset').fail('must be some of the keys');
      else if (fallback === 'keys' && fallbackKeys.length === keys.length)
        at.at('fallback_keys_subset').fail('must not be all of the keys');
      return { keys, fallback, fallbackKeys, singleHost: selector.singleHostPerSubset };
    }),
    listAsAny: message.listAsAny,
    scalesLocalities: message.localityWeightAware && message.scaleLocalityWeight,
    panicModeAny: message.panicModeAny,
  };
}
