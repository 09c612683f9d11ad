/** One proxy in front of origins, for tests. */
import { connect } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { FileOptions } from '../agent/file.ts';
import type { Cluster, HttpManager, Route, Table } from '../config/table.ts';
import { createRuntime, type Runtime } from '../runtime.ts';
import { Caller, httpOrigin, noSecrets, Origin, type ReceivedRequest, Witness } from './peers.ts';
import { httpTable } from './tables.ts';

export class TestProxy {
  readonly runtime: Runtime;
  readonly witness: Witness;

  private constructor(runtime: Runtime, witness: Witness) {
    this.runtime = runtime;
    this.witness = witness;
  }

  static async of(t: ExecutionContext, table: Table): Promise<TestProxy> {
    const witness = new Witness();
    const runtime = await createRuntime({ table, secrets: noSecrets, telemetry: witness });
    t.teardown(() => runtime.close());
    return new TestProxy(runtime, witness);
  }

  static http(
    t: ExecutionContext,
    routes: readonly Route[],
    clusters: readonly Cluster[],
    manager: Partial<HttpManager> = {},
  ): Promise<TestProxy> {
    return TestProxy.of(t, httpTable(routes, clusters, manager));
  }

  async caller(t: ExecutionContext): Promise<Caller> {
    const caller = await Caller.to(this.runtime.portOf('listener'));
    t.teardown(() => caller.stop());
    return caller;
  }

  /** One request on a connection of its own. */
  async ask(t: ExecutionContext, request: string): Promise<string> {
    return (await this.caller(t)).send(request).responses();
  }
}

export async function originFor(
  t: ExecutionContext,
  answer: (request: ReceivedRequest) => string | Buffer | null,
): Promise<Origin> {
  const origin = await httpOrigin(answer).start();
  t.teardown(() => origin.stop());
  return origin;
}

export async function rawOrigin(
  t: ExecutionContext,
  onConnection: ConstructorParameters<typeof Origin>[0],
): Promise<Origin> {
  const origin = await new Origin(onConnection).start();
  t.teardown(() => origin.stop());
  return origin;
}

/**
 * A port on loopback where nothing listens, and nothing will: a connection of this test's own holds it as its near end. It was bound
 * there: a port that was only chosen by connecting may be chosen again, by a caller that then meets itself.
 */
export async function deadPort(t: ExecutionContext): Promise<number> {
  const origin = await rawOrigin(t, () => {});
  for (;;) {
    const probe = await new Origin(() => {}).start();
    const localPort = probe.port;
    probe.stop();
    const holder = connect({ host: '127.0.0.1', port: origin.port, localAddress: '127.0.0.1', localPort });
    t.teardown(() => holder.destroy());
    const holds = await new Promise<boolean>((resolve) => {
      holder.once('connect', () => resolve(true));
      // Somebody was faster.
      holder.once('error', () => resolve(false));
    });
    if (holds) return localPort;
  }
}

export const get = (path = '/', headers = ''): string => `GET ${path} HTTP/1.1\r\nHost: shop\r\n${headers}\r\n`;

/** How tests start a proxy out of a file. */
export const startedByTest: FileOptions = {
  drainMs: 100,
  drain: { timeMs: 100, strategy: 'immediate' },
  concurrency: 1,
};
