import { DeltaSession } from '../../src/control/serve/delta-session.ts';
import type { ResourceSet } from '../../src/control/serve/resources.ts';
import { emptySet } from '../../src/control/serve/resources.ts';
import { adsMethods } from '../../src/xds/ads-stream.ts';
import { createGrpcServer, type GrpcServer } from '../../src/xds/grpc/server.ts';

/** A control plane that says what it is told to, by the sessions of the real one over real gRPC. */
export class SoakControl {
  /** What the proxy refused, in its words. */
  readonly refusals: string[] = [];
  acknowledged = 0;
  port = 0;
  #set: ResourceSet = emptySet;
  readonly #sessions = new Set<DeltaSession>();
  readonly #server: GrpcServer;

  private constructor() {
    this.#server = createGrpcServer({
      identity: null,
      methods: {
        [adsMethods.delta]: (call) => {
          const session = new DeltaSession({
            identifier: 'soak',
            send: (message) => call.send(message),
            onNack: ({ type, message }) => this.refusals.push(`${type}: ${message}`),
            onAck: () => this.acknowledged++,
          });
          this.#sessions.add(session);
          call.signal.addEventListener('abort', () => this.#sessions.delete(session));
          session.update(this.#set);
          return { onMessage: (message) => session.receive(message) };
        },
      },
    });
  }

  static async start(set: ResourceSet): Promise<SoakControl> {
    const control = new SoakControl();
    control.#set = set;
    control.port = await control.#server.listen(0, '127.0.0.1');
    return control;
  }

  push(set: ResourceSet): void {
    this.#set = set;
    for (const session of this.#sessions) session.update(set);
  }

  close(): Promise<void> {
    return this.#server.close(100);
  }
}
