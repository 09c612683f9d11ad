import { clone, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  FilterSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '../../xds/gen/envoy/config/listener/v3/listener_components_pb.js';
import { type Listener, ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { Memo } from '../translate/memo.ts';
import { inserted } from './insert.ts';
import { managerOf, portOf, setManager } from './manager.ts';
import { mergeInto } from './merge.ts';
import { type Context, isInContext, type ListenerMatch, type Patch, type PatchSet, type ProxyKind } from './patch.ts';
import { patchedRoutes } from './routes.ts';
import { withPlugins } from './wasm.ts';

const memo = new Memo<Listener | null>();
const noOtherPorts = new Map<number, number>();

export function patchedListeners(
  listeners: readonly Listener[],
  kind: ProxyKind,
  patches: readonly Patch[],
  routes: readonly Patch[],
  set: PatchSet,
): Listener[] {
  const contextOf = ({ name }: Listener): Context =>
    kind === 'router' ? 'GATEWAY' : name === 'virtualInbound' ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND';
  const patched = listeners.flatMap((listener) => {
    const here = contextOf(listener);
    const make = () => {
      const made = patchedListener(listener, here, patches, routes, set);
      return made && set.plugins.length > 0 ? withPlugins(made, here, set.plugins) : made;
    };
    return memo.get(listener, here, [set], make) ?? [];
  });
  for (const { applyTo, operation, context, value } of patches) {
    if (applyTo !== 'LISTENER' || operation !== 'ADD') continue;
    if (context === 'ANY' || (context === 'GATEWAY') === (kind === 'router')) patched.push(value as Listener);
  }
  return patched;
}

/** Null when it is removed; the listener itself when no patch is for it. */
function patchedListener(
  given: Listener,
  here: Context,
  patches: readonly Patch[],
  routes: readonly Patch[],
  set: PatchSet,
): Listener | null {
  let listener = given;
  const own = () => {
    if (listener === given) listener = clone(ListenerSchema, given);
    return listener;
  };
  for (const patch of patches) {
    const { applyTo, operation, match, value } = patch;
    const wanted = match.listener;
    if (!isInContext(patch, here) || !matchesListener(wanted, given, applyTo === 'LISTENER')) continue;
    if (applyTo === 'LISTENER') {
      if (operation === 'REMOVE') return null;
      if (operation.startsWith('MERGE')) mergeInto(ListenerSchema, own(), value as Listener, replacesLists(patch));
    } else if (applyTo === 'LISTENER_FILTER') {
      const isMatch = ({ name }: ListenerFilter) => name === wanted?.listenerFilter;
      own().listenerFilters = changed(
        ListenerFilterSchema,
        own().listenerFilters,
        patch,
        wanted?.listenerFilter ? isMatch : null,
      );
    } else if (applyTo === 'FILTER_CHAIN' && operation === 'ADD')
      own().filterChains.push(clone(FilterChainSchema, value as FilterChain));
    else patchChains(own(), patch);
  }
  if (routes.some((patch) => isInContext(patch, here)))
    for (const { filters } of own().filterChains)
      for (const filter of filters) {
        const manager = managerOf(filter);
        if (manager?.routeSpecifier.case !== 'routeConfig') continue;
        const value = patchedRoutes(manager.routeSpecifier.value, here, routes, set, noOtherPorts);
        setManager(filter, { ...manager, routeSpecifier: { case: 'routeConfig', value } });
      }
  return listener;
}

const replacesLists = ({ operation }: Patch): boolean => operation === 'MERGE_AND_REPLACE_LIST';

function patchChains(listener: Listener, patch: Patch): void {
  const { applyTo, operation, match, value } = patch;
  const isChain = (chain: FilterChain) => matchesChain(match.listener, listener, chain);
  if (applyTo === 'FILTER_CHAIN' && operation === 'REMOVE') {
    listener.filterChains = listener.filterChains.filter((chain) => !isChain(chain));
    return;
  }
  const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
  for (const chain of chains.filter(isChain)) {
    if (applyTo === 'FILTER_CHAIN') {
      if (operation.startsWith('MERGE'))
        mergeInto(FilterChainSchema, chain, value as FilterChain, replacesLists(patch));
      continue;
    }
    const name = match.listener?.filterChain?.filter?.name;
    const isMatch = name ? (filter: Filter) => filter.name === name : null;
    if (applyTo === 'NETWORK_FILTER') chain.filters = changed(FilterSchema, chain.filters, patch, isMatch);
    else patchHttpFilters(chain, patch, isMatch);
  }
}

function patchHttpFilters(chain: FilterChain, patch: Patch, isManager: ((filter: Filter) => boolean) | null): void {
  const sub = patch.match.listener?.filterChain?.filter?.subFilter?.name;
  const isMatch = sub ? ({ name }: HttpFilter) => name === sub : null;
  for (const filter of chain.filters) {
    if (isManager !== null && !isManager(filter)) continue;
    const manager = managerOf(filter);
    if (manager === null) continue;
    manager.httpFilters = changed(HttpFilterSchema, manager.httpFilters, patch, isMatch);
    setManager(filter, manager);
  }
}

/** A list of filters after one patch. */
function changed<D extends DescMessage>(
  schema: D,
  list: readonly MessageShape<D>[],
  patch: Patch,
  isMatch: ((item: MessageShape<D>) => boolean) | null,
): MessageShape<D>[] {
  const { operation } = patch;
  const value = patch.value as MessageShape<D>;
  // Whoever names no filter takes none away (Istio: listener_patch.go).
  if (operation === 'REMOVE') return isMatch === null ? [...list] : list.filter((item) => !isMatch(item));
  if (!operation.startsWith('MERGE')) return inserted(list, operation, clone(schema, value), isMatch);
  const isWanted = isMatch ?? (() => true);
  for (const item of list) if (isWanted(item)) mergeInto(schema, item, value, replacesLists(patch));
  return [...list];
}

const isVirtual = ({ name }: Listener): boolean => name === 'virtualInbound' || name === 'virtualOutbound';

/** The port of an intercepting listener says nothing: there it is that of the filter chain. */
function matchesListener(match: ListenerMatch | undefined, listener: Listener, isWhole: boolean): boolean {
  if (match === undefined) return true;
  if (match.name && match.name !== listener.name) return false;
  if (isVirtual(listener) && !isWhole) return true;
  return !match.portNumber || match.portNumber === portOf(listener);
}

function matchesChain(match: ListenerMatch | undefined, listener: Listener, chain: FilterChain): boolean {
  if (match === undefined) return true;
  const own = chain.filterChainMatch;
  const port = own?.destinationPort ?? 0;
  if (isVirtual(listener) && match.portNumber && match.portNumber !== port) return false;
  const { name, sni, transportProtocol, applicationProtocols, destinationPort, transportSocket } =
    match.filterChain ?? {};
  if (name && name !== chain.name) return false;
  if (sni && !own?.serverNames.includes(sni)) return false;
  if (transportProtocol && transportProtocol !== own?.transportProtocol) return false;
  if (
    applicationProtocols &&
    !applicationProtocols.split(',').every((each) => own?.applicationProtocols.includes(each.trim()))
  )
    return false;
  if (destinationPort && destinationPort !== port) return false;
  return !transportSocket || transportSocket === chain.transportSocket?.name;
}
