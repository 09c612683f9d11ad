/** Brings a batch to a collector: one POST over a cluster's HTTP/1 connections, or one gRPC call. */
import { HeaderBlock, returnBlock } from '../codec/header-block.ts';
import { edit } from '../codec/header-edit.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { TraceProvider } from '../config/table.ts';
import type { Plane } from '../http/plane.ts';
import { unknownAddress } from '../net/connection.ts';
import { output } from '../net/output.ts';
import type { ClusterPool } from '../upstream/cluster.ts';
import type { Host } from '../upstream/host.ts';
import type { UpstreamCall, UpstreamStream } from '../upstream/upstream-call.ts';

const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export class Collector {
  readonly #secrets: Pick<SecretStore, 'get'>;

  constructor(secrets: Pick<SecretStore, 'get'>) {
    this.#secrets = secrets;
  }

  /** Rejects when the collector cannot be reached, refuses, or does not answer in time. */
  async deliver(plane: Plane, provider: TraceProvider, body: Buffer): Promise<void> {
    const pool = plane.pool(provider.cluster);
    const host = pool?.pick({ hash: null, avoid: null }, unknownAddress) ?? null;
    if (pool === null || host === null) throw new Error(`cluster ${provider.cluster} has no host`);
    if (provider.protocol === 'grpc') await this.#call(host, provider, body);
    else
      await new Promise<void>((resolve, reject) =>
        output.turn(() => new Post(pool, host, provider, body, resolve, reject)),
      );
  }

  async #call(host: Host, { timeoutMs, authority }: TraceProvider, body: Buffer): Promise<void> {
    const { callUnary } = await import('../../xds/grpc/client.ts');
    const { tls, address } = host;
    const target = {
      host: address.ip,
      port: address.port,
      tls:
        tls === null
          ? null
          : {
              serverName: tls.sni || authority,
              roots: () => {
                const trust = tls.trust === null ? null : this.#secrets.get(tls.trust);
                return trust?.kind === 'trust' ? trust.roots : Buffer.alloc(0);
              },
              certificate: () => {
                const own = tls.certificate === null ? null : this.#secrets.get(tls.certificate);
                return own?.kind === 'certificate' ? { chain: own.chain, key: own.key } : null;
              },
            },
    };
    await callUnary(target, exportPath, body, { timeoutMs, maxMessageBytes: 1 << 20 });
  }
}

const noFields = new HeaderBlock();

class Post implements UpstreamStream {
  readonly upgrading = false;
  readonly #pool: ClusterPool;
  readonly #provider: TraceProvider;
  readonly #body: Buffer;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #connection: UpstreamCall | null = null;
  #status = 0;
  #over = false;

  constructor(
    pool: ClusterPool,
    host: Host,
    provider: TraceProvider,
    body: Buffer,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#pool = pool;
    this.#provider = provider;
    this.#body = body;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => this.#giveUp(), provider.timeoutMs);
    const connection = pool.acquire(host, this, provider.authority, false, false);
    if (connection === null) this.#end(new Error('the cluster takes no more requests'));
    else if (connection !== 'waiting') this.onGiven(connection);
  }

  onGiven(connection: UpstreamCall): void {
    this.#connection = connection;
    if (connection.ready) this.onReady();
  }

  onReady(): void {
    const { path, authority, headers, kind } = this.#provider;
    edit.begin(noFields);
    edit.add('content-type', kind === 'zipkin' ? 'application/json' : 'application/x-protobuf');
    edit.add('user-agent', 'lateen');
    edit.add('content-length', `${this.#body.length}`);
    for (const [name, value] of headers) edit.add(name, value);
    this.#connection!.sendHead({
      method: 'POST',
      scheme: 'http',
      authority,
      path,
      block: noFields,
      edit,
      framing: 'length',
      upgrade: '',
    });
    this.#connection!.sendBody(this.#body, 0, this.#body.length);
    this.#connection!.sendEnd(null);
  }

  onInterim(): void {}

  onHead(block: HeaderBlock): void {
    this.#status = block.status;
    returnBlock(block);
  }

  onBody(): void {}

  onComplete(): void {
    this.#connection = null;
    this.#end(this.#status < 300 ? null : new Error(`the collector answered ${this.#status}`));
  }

  onFailure(reason: string): void {
    this.#connection = null;
    this.#end(new Error(reason));
  }

  onUpstreamDrain(): void {}

  #giveUp(): void {
    if (this.#over) return;
    if (this.#connection === null) this.#pool.stopWaiting(this);
    else this.#connection.abandon();
    this.#end(new Error('the collector did not answer in time'));
  }

  #end(error: Error | null): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    if (error === null) this.#resolve();
    else this.#reject(error);
  }
}
