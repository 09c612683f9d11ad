/** Filter chains that Envoy takes together: it refuses a listener in which two match the same, and names with a `*` inside. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';

export type FilterChainMatch = Exclude<MessageInitShape<typeof FilterChainMatchSchema>, { $typeName: string }>;
type WholeChain = Exclude<MessageInitShape<typeof FilterChainSchema>, { $typeName: string }>;
export type FilterChain = Omit<WholeChain, 'filterChainMatch'> & { filterChainMatch?: FilterChainMatch };

/** Of chains for one server name, address and protocol the first stays. */
export function distinctChains(chains: readonly FilterChain[]): FilterChain[] {
  const taken = new Set<string>();
  const kept: FilterChain[] = [];
  for (const chain of chains) {
    const { serverNames = [], ...rest } = chain.filterChainMatch ?? {};
    const rule = JSON.stringify(rest, Object.keys(rest).sort().concat('addressPrefix', 'prefixLen'));
    const isFree = (name: string) => {
      const key = `${rule} ${name.toLowerCase()}`;
      if (taken.has(key)) return false;
      taken.add(key);
      return true;
    };
    const names = serverNames.filter(
      (name) => !name.slice(name.startsWith('*.') ? 2 : 0).includes('*') && isFree(name),
    );
    if (serverNames.length > 0 ? names.length > 0 : isFree(''))
      kept.push({ ...chain, filterChainMatch: { ...rest, serverNames: names } });
  }
  return kept;
}
