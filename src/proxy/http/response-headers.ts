import type { HeaderBlock } from '../codec/header-block.ts';
import type { HeaderEdit } from '../codec/header-edit.ts';
import { idSet, knownId } from '../codec/header-names.ts';
import type { WeightedCluster } from '../config/table.ts';
import { output } from '../net/output.ts';
import type { ActiveExchange } from './active-exchange.ts';
import { mutate } from './mutation.ts';

const neverSent = idSet(
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'x-envoy-upstream-service-time',
  'x-lateen-undelivered',
);
const connectionId = knownId('connection');
const dateId = knownId('date');
const serverId = knownId('server');
const contentLengthId = knownId('content-length');

let dateText = '';
let dateSecond = 0;

/** The IMF-fixdate of now (RFC 9110 §5.6.7), made once a second. */
function httpDate(): string {
  const now = output.wallMs;
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}

function noteResponse(exchange: ActiveExchange, name: string, value: string): void {
  exchange.noteResponseHeader(name, value);
}

/** What every response gets, the proxy's own answers as well. */
export function addResponseHeaders(exchange: ActiveExchange, edit: HeaderEdit, weighted: WeightedCluster | null): void {
  const { manager, route, virtualHost } = exchange;
  const specificWins = virtualHost?.specificWins ?? false;
  mutate((specificWins ? virtualHost : weighted)?.responseHeaders ?? null, edit, exchange, noteResponse);
  mutate(route?.responseHeaders ?? null, edit, exchange, noteResponse);
  mutate((specificWins ? weighted : virtualHost)?.responseHeaders ?? null, edit, exchange, noteResponse);
  if (exchange.responseChanges !== null)
    for (const change of exchange.responseChanges) mutate(change, edit, exchange, noteResponse);
  if (virtualHost?.attemptCountInResponse && exchange.attempts > 0)
    edit.set('x-envoy-attempt-count', String(exchange.attempts));
  if (manager.via !== '') edit.join('via', manager.via, ', ');
  if (manager.requestIdInResponse) {
    const id = exchange.header('x-request-id');
    if (id !== null) edit.set('x-request-id', id);
  }
  const upstream = exchange.response;
  if (upstream.find(dateId) < 0) edit.add('date', httpDate());
  if (
    manager.serverHeader === 'overwrite' ||
    (manager.serverHeader === 'appendIfAbsent' && upstream.find(serverId) < 0)
  ) {
    for (let i = upstream.find(serverId); i >= 0; i = upstream.find(serverId, i + 1)) edit.skip(i);
    edit.removeAdded('server');
    edit.add('server', manager.serverName);
  }
}

/** Prepares `edit` for an upstream's response, which `exchange.response` holds. */
export function editResponse(
  exchange: ActiveExchange,
  response: HeaderBlock,
  edit: HeaderEdit,
  weighted: WeightedCluster | null,
  serviceMs: number,
): void {
  edit.begin(response);
  for (let i = 0; i < response.count; i++) {
    const id = response.ids[i];
    if (id === 0) continue;
    if (neverSent[id] === 1) edit.skip(i);
    // A response framed by chunks has no other length (RFC 9112 §6.3), nor has one without content.
    if (id === contentLengthId && (response.status === 204 || response.status < 200)) edit.skip(i);
  }
  if (response.nominates) {
    for (let i = response.find(connectionId); i >= 0; i = response.find(connectionId, i + 1)) {
      for (const option of response.value(i).toLowerCase().split(',')) {
        const name = option.trim();
        if (name !== '' && name !== 'content-length') edit.remove(name);
      }
    }
  }
  if (!exchange.manager.suppressEnvoyHeaders) {
    const text = String(serviceMs);
    edit.add('x-envoy-upstream-service-time', text);
    exchange.noteResponseHeader('x-envoy-upstream-service-time', text);
  }
  addResponseHeaders(exchange, edit, weighted);
}
