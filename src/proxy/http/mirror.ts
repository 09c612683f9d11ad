import { HeaderBlock, returnBlock } from '../codec/header-block.ts';
import { edit } from '../codec/header-edit.ts';
import type { Forward } from '../config/table.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import { destinationOf } from '../upstream/original-destination.ts';
import type { RequestHead, UpstreamCall, UpstreamStream } from '../upstream/upstream-call.ts';
import type { ActiveExchange } from './active-exchange.ts';
import type { HeldBody } from './held-body.ts';
import { editRequest, outgoing } from './request-headers.ts';

const shadowTimeoutMs = 15_000;

/** Sends copies of a request where its route mirrors to; their responses go nowhere (Envoy: request_mirror_policies). */
export function startMirrors(exchange: ActiveExchange, forward: Forward, body: HeldBody | null): void {
  const kept = body?.bytes ?? 0;
  if (kept !== exchange.requestBodyBytes || exchange.request.upgrade || !exchange.requestComplete) return;
  for (const mirror of forward.mirrors) {
    if (mirror.fractionMillionths < 1_000_000 && Math.random() * 1_000_000 >= mirror.fractionMillionths) continue;
    const pool = exchange.plane.pool(mirror.cluster);
    if (pool?.breaker.takesRequests) new Shadow(exchange, forward, pool, body?.pieces ?? []);
  }
}

/** What a shadow sends, kept because the caller's exchange is over before the shadow may begin. */
interface ShadowHead {
  readonly head: Omit<RequestHead, 'block' | 'edit'>;
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>;
}

const noFields = new HeaderBlock();

/** The head as the first attempt sent it, addressed to `host-shadow` as Envoy does. */
function shadowHead(exchange: ActiveExchange, forward: Forward): ShadowHead {
  const { request } = exchange;
  editRequest(exchange, exchange.virtualHost!, exchange.route!, forward, forward.clusters[0], '');
  const fields: Array<readonly [string, string]> = [];
  for (let i = 0; i < request.count; i++)
    if (i !== request.host && !edit.skips(i)) fields.push([request.name(i), request.value(i)]);
  for (let i = 0; i < edit.count; i++) fields.push([edit.names[i], edit.values[i]]);
  const { method, scheme, path, framing } = outgoing;
  const authority = outgoing.authority.replace(/(:\d+)?$/, '-shadow$1');
  return { head: { method, scheme, path, framing, authority, upgrade: '' }, fields };
}

class Shadow implements UpstreamStream {
  readonly upgrading = false;
  readonly caller = null;
  private readonly pool: ClusterPool;
  private readonly kept: ShadowHead;
  private readonly body: readonly Buffer[];
  private connection: UpstreamCall | null = null;
  private readonly timer: NodeJS.Timeout;
  private over = false;

  constructor(exchange: ActiveExchange, forward: Forward, pool: ClusterPool, body: readonly Buffer[]) {
    this.pool = pool;
    this.body = body;
    this.kept = shadowHead(exchange, forward);
    pool.breaker.requests++;
    this.timer = setTimeout(() => this.close(true), shadowTimeoutMs);
    const host = pool.pick(
      { hash: null, avoid: null, subset: forward.subset, spent: null },
      destinationOf(pool.config, () => null, exchange.connection),
    );
    const connection =
      host === null ? null : pool.acquire(host, this, outgoing.authority, false, exchange.protocol === 'HTTP/2');
    if (connection === null) this.close(false);
    else if (connection !== 'waiting') this.onGiven(connection);
  }

  onGiven(connection: UpstreamCall): void {
    this.connection = connection;
    if (connection.ready) this.onReady();
  }

  onReady(): void {
    const { head, fields } = this.kept;
    edit.begin(noFields);
    for (const [name, value] of fields) edit.add(name, value);
    this.connection!.sendHead({ ...head, block: noFields, edit });
    for (const piece of this.body) this.connection!.sendBody(piece, 0, piece.length);
    this.connection!.sendEnd(null);
  }

  onInterim(): void {}

  onHead(block: HeaderBlock): void {
    returnBlock(block);
  }

  onBody(): void {}

  onComplete(): void {
    this.connection = null;
    this.close(false);
  }

  onFailure(): void {
    this.connection = null;
    this.close(false);
  }

  onUpstreamDrain(): void {}

  private close(abandon: boolean): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.pool.breaker.requests--;
    if (!abandon) return;
    if (this.connection === null) this.pool.stopWaiting(this);
    else this.connection.abandon();
  }
}
