/** Delta-xDS clients that ask as our proxy does, and read nothing but names: what they cost must not be the limit. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { adsMethods } from '../../src/xds/ads-stream.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../src/xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { openChannel } from '../../src/xds/grpc/client.ts';
import { routePatchFeature } from '../../src/xds/route-patch.ts';
import { typeUrls } from '../../src/xds/type-urls.ts';
import { clientIp } from './mesh.ts';

/** Of a sidecar in the place of the client of this number. */
export function clientNode(i: number, namespaces: number) {
  const namespace = `team-${i % namespaces}`;
  return {
    id: `sidecar~${clientIp(i)}~client-${i}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace },
  };
}

export class Client {
  bytes = 0;
  responses = 0;
  /** When the last response was acknowledged. */
  lastAckAt = 0;
  readonly #held = new Map<string, Set<string>>();
  #close: () => void = () => {};

  /** Resources held, of all types. */
  get count(): number {
    return [...this.#held.values()].reduce((sum, names) => sum + names.size, 0);
  }

  /** Whether clusters, listeners, endpoints and routes have come. */
  get isComplete(): boolean {
    return ['cluster', 'listener', 'endpoint', 'route'].every(
      (type) => (this.#held.get(typeUrls[type as 'cluster'])?.size ?? 0) > 0,
    );
  }

  async start(port: number, i: number, namespaces: number): Promise<void> {
    const channel = await openChannel({ host: '127.0.0.1', port, tls: null }, { maxMessageBytes: 1 << 30 });
    const send = (typeUrl: string, more: object) =>
      call.send(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl, ...more })));
    const call = channel.call(adsMethods.delta, {
      onMessage: (message) => {
        this.bytes += message.length;
        this.responses++;
        const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, message);
        const held = this.#held.get(typeUrl) ?? new Set();
        this.#held.set(typeUrl, held);
        const added = resources.flatMap(({ name }) => (held.has(name) ? [] : name));
        for (const name of added) held.add(name);
        for (const name of removedResources) held.delete(name);
        send(typeUrl, { responseNonce: nonce });
        this.lastAckAt = performance.now();
        // What a proxy asks for next: endpoints of its clusters, routes of its listeners.
        const next =
          typeUrl === typeUrls.cluster
            ? [typeUrls.endpoint, added.filter((name) => name.startsWith('outbound|'))]
            : typeUrl === typeUrls.listener
              ? [typeUrls.route, added.flatMap((name) => /^0\.0\.0\.0_(\d+)$/.exec(name)?.[1] ?? [])]
              : null;
        if (next && next[1].length > 0) send(next[0] as string, { resourceNamesSubscribe: next[1] });
      },
      onEnd: () => {},
    });
    this.#close = () => {
      call.cancel();
      channel.close();
    };
    send(typeUrls.cluster, { node: { ...clientNode(i, namespaces), clientFeatures: [routePatchFeature] } });
    send(typeUrls.listener, {});
  }

  stop(): void {
    this.#close();
  }
}
