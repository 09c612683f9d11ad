import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { createAdsClient, type Rejection, type XdsUpdate } from '../../xds/ads-client.ts';
import { type AdsStream, DeltaStream, SotwStream } from '../../xds/ads-stream.ts';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { NodeSchema } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { ClusterLoadAssignmentSchema } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '../../xds/gen/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../xds/gen/envoy/service/discovery/v3/discovery_pb.js';
import { type NameTable, NameTableSchema } from '../../xds/gen/istio/networking/nds/v1/nds_pb.js';
import { routePatchFeature } from '../../xds/route-patch.ts';
import { TypeStore } from '../../xds/type-store.ts';
import { typeUrls, type XdsType, xdsTypes } from '../../xds/type-urls.ts';
import { DeltaSession } from './delta-session.ts';
import { encodeResources, type ResourceSet } from './resources.ts';
import type { Nack, Session } from './session.ts';
import { SotwSession } from './sotw-session.ts';

/** A mesh in small: each service has a cluster, its endpoints, a listener and a route table to all services; the number is its content. */
type World = ReadonlyMap<string, number>;

function setOf(version: string, world: World, before?: ResourceSet): ResourceSet {
  const names = [...world.keys()];
  const stamp = (name: string) => `${name}-${world.get(name)}`;
  return encodeResources(
    version,
    {
      cluster: names.map((name) => create(ClusterSchema, { name, altStatName: stamp(name) })),
      endpoint: names.map((name) =>
        create(ClusterLoadAssignmentSchema, {
          clusterName: name,
          policy: { overprovisioningFactor: world.get(name)! },
        }),
      ),
      listener: names.map((name) => create(ListenerSchema, { name, statPrefix: stamp(name) })),
      route: names.map((name) =>
        create(RouteConfigurationSchema, {
          name,
          internalOnlyHeaders: [stamp(name)],
          virtualHosts: names.map((host) => create(VirtualHostSchema, { name: host, domains: [stamp(host)] })),
        }),
      ),
    },
    before,
  );
}

/** A client and a server with a wire between them whose two directions move one message at a time. */
class Wire {
  readonly stores = Object.fromEntries(xdsTypes.map((type) => [type, new TypeStore(type)])) as {
    [T in XdsType]: TypeStore;
  };
  readonly held = new Map<string, unknown>();
  readonly nacks: Nack[] = [];
  readonly toServer: Buffer[] = [];
  readonly toClient: Array<{ message: Buffer; type: XdsType }> = [];
  readonly order: XdsType[] = [];
  session: Session;
  stream: AdsStream;
  refuse: (name: string, type: XdsType) => boolean = () => false;
  readonly #protocol: 'delta' | 'sotw';
  readonly #patches: boolean;
  /** Bytes of the responses that brought routes. */
  routeBytes = 0;

  constructor(protocol: 'delta' | 'sotw', patches = false) {
    this.#protocol = protocol;
    this.#patches = patches;
    [this.session, this.stream] = this.#connect();
  }

  reconnect(set: ResourceSet): void {
    this.toServer.length = 0;
    this.toClient.length = 0;
    [this.session, this.stream] = this.#connect();
    this.stream.open();
    this.session.update(set);
  }

  #connect(): [Session, AdsStream] {
    const Served = this.#protocol === 'delta' ? DeltaSession : SotwSession;
    const Asked = this.#protocol === 'delta' ? DeltaStream : SotwStream;
    const session = new Served({
      identifier: 'test',
      send: (message, type) => this.toClient.push({ message: Buffer.from(message), type }),
      onNack: (nack) => this.nacks.push(nack),
    });
    const stream = new Asked({
      node: create(NodeSchema, { id: 'n', clientFeatures: this.#patches ? [routePatchFeature] : [] }),
      routesOf: (name) => (this.held.get(`route/${name}`) as Uint8Array | undefined) ?? null,
      stores: this.stores,
      send: (message) => this.toServer.push(Buffer.from(message)),
      onUpdate: (update) => this.#take(update),
      onControlPlane: () => {},
    });
    return [session, stream];
  }

  #take(update: XdsUpdate): Rejection[] {
    const refused: Rejection[] = [];
    for (const [name, message] of update.changed)
      if (this.refuse(name, update.type)) refused.push({ name, reason: 'refused by the test' });
      else this.held.set(`${update.type}/${name}`, message);
    for (const name of update.removed) this.held.delete(`${update.type}/${name}`);
    const names = [...this.held.keys()]
      .filter((key) => key.startsWith(`${update.type}/`))
      .map((key) => key.split('/')[1]);
    const follower = update.type === 'cluster' ? 'endpoint' : update.type === 'listener' ? 'route' : null;
    if (follower) {
      for (const key of this.held.keys())
        if (key.startsWith(`${follower}/`) && !names.includes(key.split('/')[1])) this.held.delete(key);
      const { added, dropped } = this.stores[follower].want(names);
      this.stream.changeNames(follower, added, dropped);
    }
    return refused;
  }

  moveToServer(): boolean {
    const message = this.toServer.shift();
    if (message) this.session.receive(message);
    return message !== undefined;
  }

  moveToClient(): boolean {
    const next = this.toClient.shift();
    if (!next) return false;
    this.order.push(next.type);
    if (next.type === 'route') this.routeBytes += next.message.length;
    this.stream.receive(next.message);
    return true;
  }

  settle(): void {
    for (let moves = 0; this.moveToServer() || this.moveToClient(); moves++)
      if (moves > 10_000) throw new Error('the two never come to rest');
  }

  versions(type: XdsType): Record<string, string> {
    return Object.fromEntries([...this.stores[type].held].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

const worlds = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 3 }));
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant('server' as const) },
    { weight: 6, arbitrary: fc.constant('client' as const) },
    { weight: 3, arbitrary: worlds },
    { weight: 1, arbitrary: fc.constant('reconnect' as const) },
    { weight: 1, arbitrary: fc.constantFrom('refuse a' as const, 'refuse none' as const) },
  ),
  { maxLength: 60 },
);

for (const [called, protocol, patches] of [
  ['delta', 'delta', false],
  ['delta with patches', 'delta', true],
  ['sotw', 'sotw', false],
] as const) {
  test(`${called}: whatever the interleaving, the client ends with what the server has`, (t) => {
    fc.assert(
      // Whether the server knows what has changed, or finds out.
      fc.property(steps, fc.boolean(), (moves, isTold) => {
        const wire = new Wire(protocol, patches);
        let set = setOf('0', new Map());
        let world: World = new Map();
        wire.stream.open();
        for (const [at, move] of moves.entries()) {
          if (move === 'server') wire.moveToServer();
          else if (move === 'client') wire.moveToClient();
          else if (move === 'reconnect') wire.reconnect(set);
          else if (move === 'refuse a') wire.refuse = (name, type) => name === 'a' && type === 'route';
          else if (move === 'refuse none') wire.refuse = () => false;
          else {
            world = new Map(Object.entries(move));
            set = setOf(`${at + 1}`, world, isTold ? set : undefined);
            wire.session.update(set);
          }
          const lacking = new Set(wire.session.lacking().map(({ type, name }) => `${type}/${name}`));
          if (protocol === 'delta' && wire.session.status().cluster)
            for (const { name, version } of set.types.cluster.values())
              if (wire.stores.cluster.held.get(name) !== version && !lacking.has(`cluster/${name}`))
                throw new Error(`step ${at}: cluster ${name} is lacked and not said to be`);
        }
        // What was refused is sent again when it changes.
        wire.refuse = () => false;
        wire.session.update(set);
        wire.settle();
        world = new Map([...world.keys()].map((name) => [name, 9]));
        wire.session.update(setOf(`${moves.length + 1}`, world, isTold ? set : undefined));
        wire.settle();
        if (wire.session.lacking().length > 0) throw new Error('all is taken, and something is said to be lacking');
        const wanted = setOf('', world);
        for (const type of xdsTypes.filter((each) => each !== 'secret')) {
          const names = [...wanted.types[type].keys()].sort();
          const heldNames = Object.keys(wire.versions(type));
          if (JSON.stringify(names) !== JSON.stringify(heldNames))
            throw new Error(`${type}: ${names} but holds ${heldNames}`);
          if (protocol === 'delta')
            for (const name of names)
              if (wire.stores[type].held.get(name) !== wanted.types[type].get(name)!.version)
                throw new Error(`${type} ${name} is stale`);
          for (const name of names)
            if (!wire.held.has(`${type}/${name}`)) throw new Error(`${type} ${name} was not told`);
          if (type === 'route')
            for (const name of names)
              t.deepEqual(
                fromBinary(RouteConfigurationSchema, wire.held.get(`route/${name}`) as Uint8Array),
                fromBinary(RouteConfigurationSchema, wanted.types.route.get(name)!.any.value),
              );
          if (wire.stores[type].pending.length > 0) throw new Error(`${type} waits for ${wire.stores[type].pending}`);
        }
        const count = [...wire.held.keys()].length;
        if (count !== 4 * wanted.types.cluster.size) throw new Error(`${count} resources are left over`);
      }),
      { numRuns: 800 },
    );
    t.pass();
  });

  test(`${called}: names go to those who ask for them, and change with the mesh`, (t) => {
    const wire = new Wire(protocol, patches);
    const set = (version: string, ip: string) =>
      encodeResources(version, {
        nameTable: ip === '' ? [] : [create(NameTableSchema, { table: { 'a.example.com': { ips: [ip] } } })],
      });
    const told = () => {
      const table = [...wire.held].find(([key]) => key.startsWith('nameTable/'))?.[1] as NameTable | undefined;
      return table?.table['a.example.com'].ips[0];
    };
    wire.stream.open();
    wire.session.update(set('1', '10.0.0.1'));
    wire.settle();
    t.false(wire.order.includes('nameTable'));
    t.deepEqual(wire.stores.nameTable.pending, []);
    wire.stores.nameTable.isWhole = true;
    t.deepEqual(wire.stores.nameTable.pending, ['*']);
    wire.stream.changeNames('nameTable', [], []);
    wire.settle();
    t.is(told(), '10.0.0.1');
    wire.session.update(set('2', '10.0.0.2'));
    wire.settle();
    t.is(told(), '10.0.0.2');
    wire.reconnect(set('3', '10.0.0.3'));
    wire.settle();
    t.is(told(), '10.0.0.3');
    wire.session.update(set('4', ''));
    wire.settle();
    t.is(told(), undefined);
  });

  test(`${called}: a refused resource keeps its last good state and is reported`, (t) => {
    const wire = new Wire(protocol, patches);
    wire.stream.open();
    wire.session.update(
      setOf(
        '1',
        new Map([
          ['a', 1],
          ['b', 1],
        ]),
      ),
    );
    wire.settle();
    const good = wire.held.get('cluster/a');
    wire.refuse = (name, type) => name === 'a' && type === 'cluster';
    wire.session.update(
      setOf(
        '2',
        new Map([
          ['a', 2],
          ['b', 2],
        ]),
      ),
    );
    wire.settle();
    t.is(wire.held.get('cluster/a'), good);
    t.is((wire.held.get('cluster/b') as { altStatName: string }).altStatName, 'b-2');
    t.is(wire.nacks.length, 1);
    t.like(wire.nacks[0], { type: 'cluster', version: '2', message: 'a: refused by the test' });
    t.is(wire.session.status().cluster?.error, 'a: refused by the test');
    t.like(wire.session.lacking(), [
      { type: 'cluster', name: 'a', refusal: 'a: refused by the test', isUpdate: true, spans: [{ after: 1, upTo: 2 }] },
    ]);
    t.is(wire.session.lacking().length, 1);
    wire.refuse = () => false;
    wire.session.update(
      setOf(
        '3',
        new Map([
          ['a', 3],
          ['b', 2],
        ]),
      ),
    );
    wire.settle();
    t.is((wire.held.get('cluster/a') as { altStatName: string }).altStatName, 'a-3');
    t.is(wire.session.status().cluster?.error, null);
    t.is(wire.session.status().cluster?.ackedVersion, '3');
  });

  test(`${called}: unchanged resources are not sent again`, (t) => {
    const wire = new Wire(protocol, patches);
    wire.stream.open();
    const world = new Map([
      ['a', 1],
      ['b', 1],
    ]);
    wire.session.update(setOf('1', world));
    wire.settle();
    wire.order.length = 0;
    wire.session.update(setOf('2', world));
    wire.settle();
    t.deepEqual(wire.order, []);
  });
}

test('delta: of a large route table that part is sent which has changed, and all of it to who refused', (t) => {
  const world = (changed: number) =>
    new Map(Array.from({ length: 40 }, (_, i) => [`service-${i}`, i === 7 ? changed : 1] as const));
  const sizes = [true, false].map((patches) => {
    const wire = new Wire('delta', patches);
    wire.stream.open();
    let set = setOf('1', world(1));
    wire.session.update(set);
    wire.settle();
    const change = (version: string, to: number) => {
      wire.routeBytes = 0;
      set = setOf(version, world(to), set);
      wire.session.update(set);
      wire.settle();
      return wire.routeBytes;
    };
    const whole = change('2', 2);
    wire.refuse = (_, type) => type === 'route';
    // As a patch, and once more in full: it may have been the patch that was wrong.
    const refused = change('3', 3);
    t.is(wire.nacks.length, patches ? 2 : 1);
    wire.refuse = () => false;
    const after = change('4', 4);
    t.is(wire.versions('route')['service-0'], set.types.route.get('service-0')!.version);
    const again = change('5', 5);
    return { whole, refused, after, again };
  });
  const [patched, plain] = sizes;
  t.true(patched.whole * 5 < plain.whole, `${patched.whole} and ${plain.whole} bytes`);
  // Nonces and versions of other lengths may add a byte each.
  const about = (actual: number, expected: number) =>
    t.true(Math.abs(actual - expected) < 100, `${actual}, ${expected}`);
  about(patched.refused, patched.whole + plain.refused);
  about(patched.after, plain.after);
  about(patched.again, patched.whole);
});

test('delta: what replaces comes before what is replaced goes', (t) => {
  const wire = new Wire('delta');
  wire.stream.open();
  wire.session.update(setOf('1', new Map([['a', 1]])));
  wire.settle();
  wire.order.length = 0;
  wire.session.update(setOf('2', new Map([['b', 1]])));
  wire.settle();
  t.is(wire.order[0], 'cluster');
  t.is(wire.order.at(-1), 'cluster');
  t.true(wire.order.indexOf('endpoint') < wire.order.lastIndexOf('cluster'));
  t.true(wire.order.lastIndexOf('route') < wire.order.lastIndexOf('cluster'));
  t.deepEqual(Object.keys(wire.versions('cluster')), ['b']);
});

test('delta: a proxy that changes replicas is sent nothing that it has', (t) => {
  const wire = new Wire('delta');
  wire.stream.open();
  const world = new Map([
    ['a', 1],
    ['b', 1],
  ]);
  wire.session.update(setOf('1', world));
  wire.settle();
  wire.held.clear();
  wire.reconnect(setOf('another replica', world));
  wire.settle();
  t.is(wire.held.size, 0);
  t.is(wire.session.status().cluster?.count, 2);
});

test('delta: a changed cluster brings its endpoints again', (t) => {
  const wire = new Wire('delta');
  wire.stream.open();
  const cluster = (altStatName: string) => ({ cluster: [create(ClusterSchema, { name: 'a', altStatName })] });
  const endpoint = { endpoint: [create(ClusterLoadAssignmentSchema, { clusterName: 'a' })] };
  const first = encodeResources('1', { ...cluster('x'), ...endpoint });
  wire.session.update(first);
  wire.settle();
  wire.order.length = 0;
  wire.session.update(encodeResources('2', { ...cluster('y'), ...endpoint }, first));
  wire.settle();
  t.deepEqual(wire.order, ['cluster', 'endpoint']);
});

test('delta: a name asked for while a push waits is answered with what it had before the change', (t) => {
  const sent: string[][] = [];
  const session = new DeltaSession({
    identifier: 'x',
    send: (message) => sent.push(fromBinary(DeltaDiscoveryResponseSchema, message).resources.map(({ name }) => name)),
    onNack: () => t.fail(),
  });
  const ask = (...resourceNamesSubscribe: string[]) =>
    session.receive(
      Buffer.from(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            node: { id: 'n' },
            typeUrl: typeUrls.endpoint,
            resourceNamesSubscribe,
          }),
        ),
      ),
    );
  const first = setOf(
    '1',
    new Map([
      ['a', 1],
      ['b', 1],
    ]),
  );
  session.update(first);
  ask('a');
  session.update(
    setOf(
      '2',
      new Map([
        ['a', 2],
        ['b', 1],
      ]),
      first,
    ),
  );
  ask('b');
  t.deepEqual(sent, [['a'], ['a', 'b']]);
});

test('delta: large pushes are cut so that each response stays below 4 MiB', (t) => {
  const wire = new Wire('delta');
  wire.stream.open();
  const altStatName = 'x'.repeat(1 << 20);
  const cluster = Array.from({ length: 9 }, (_, at) => create(ClusterSchema, { name: `c${at}`, altStatName }));
  wire.session.update(encodeResources('1', { cluster }));
  while (wire.moveToServer());
  for (const { message } of wire.toClient) t.true(message.length < 4 << 20);
  wire.settle();
  t.is(wire.stores.cluster.held.size, 9);
});

test('a request that names no node is refused', (t) => {
  const session = new DeltaSession({ identifier: 'x', send: () => {}, onNack: () => {} });
  t.throws(() => session.receive(Buffer.alloc(0)), { message: /names no node/ });
});

test('a client can be made and stopped without a server', async (t) => {
  const client = createAdsClient({
    target: { host: '127.0.0.1', port: 1, tls: null },
    node: { id: 'x' },
    onUpdate: () => [],
  });
  client.start();
  await client.stop();
  t.is(client.state.connection, 'stopped');
});
