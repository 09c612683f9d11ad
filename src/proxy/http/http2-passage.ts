import type { HttpManager, Listener, RbacRule } from '../config/table.ts';
import type { ConnectionFacts } from '../net/connection.ts';
import { factsWithoutRequest } from '../net/connection-facts.ts';
import { TcpRelay } from '../net/tcp-proxy.ts';
import type { Transport } from '../net/transport.ts';
import { authorize } from './authorize.ts';
import type { Plane } from './plane.ts';
import { findRoute } from './route.ts';
import { chooseWeighted } from './weighted.ts';

/** Whether a rule needs what only a request shows. */
function readsRequest(rule: RbacRule): boolean {
  switch (rule.kind) {
    case 'and':
    case 'or':
      return rule.rules.some(readsRequest);
    case 'not':
      return readsRequest(rule.rule);
    case 'header':
    case 'path':
    case 'metadata':
    case 'remoteIp':
      return true;
    default:
      return false;
  }
}

/**
 * Passes an HTTP/2 connection on as it is: its streams all go to the cluster that the route table names for the original
 * destination (`ip:port`, then `ip`) and the path `/`. Rules that look at requests cannot be kept here, so a connection
 * under such rules is refused rather than let past them.
 */
export function passHttp2(
  plane: Plane,
  facts: ConnectionFacts,
  listener: Listener,
  manager: HttpManager,
  transport: Transport,
  first: Buffer,
  onClosed: () => void,
): TcpRelay {
  const relay = new TcpRelay(plane, facts, listener, null, transport, 'http2', onClosed);
  const needsRequests = manager.rbac.some((filter) =>
    filter.policies.some((policy) => policy.permissions.some(readsRequest) || policy.principals.some(readsRequest)),
  );
  const bare = factsWithoutRequest(facts);
  const refused = needsRequests || (manager.rbac.length > 0 && !authorize(manager.rbac, bare, null).allowed);
  let cluster = '';
  if (!refused) {
    const routes = plane.table.routeTables.get(manager.routeName);
    for (const authority of [`${facts.local.ip}:${facts.local.port}`, facts.local.ip]) {
      if (routes === undefined || cluster !== '') break;
      const found = findRoute(routes, { ...bare, method: 'POST', path: '/', authority });
      const forward = found?.route.forward ?? null;
      if (forward !== null) cluster = chooseWeighted(forward.clusters, forward.totalWeight)?.cluster ?? '';
    }
  }
  relay.start(cluster, first);
  return relay;
}
