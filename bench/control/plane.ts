/**
 * The control plane under measurement, in a process of its own: `node plane.ts SERVICES NAMESPACES CLIENTS`. Its objects are in memory, so that what is
 * measured is what it does with them. It is told of changes by its parent and answers with what it has cost since.
 */

import { Authority, makeRoot } from '../../src/control/ca/authority.ts';
import type { MeshObjects } from '../../src/control/model/objects.ts';
import { createControlPlane } from '../../src/control/serve/control-plane.ts';
import type { ChangeScope, ObjectSource } from '../../src/control/watch/source.ts';
import { type Change, changed, meshOf } from './mesh.ts';

export interface Told {
  readonly port?: number;
  readonly cpuMs: number;
  readonly rssMib: number;
}

const [services, namespaces, clients] = process.argv.slice(2).map(Number);

class Held implements ObjectSource {
  readonly problems: readonly string[] = [];
  objects: MeshObjects = meshOf(services, namespaces, clients);
  #tell: (scope: ChangeScope) => void = () => {};

  async start(onChange: (scope: ChangeScope) => void): Promise<void> {
    this.#tell = onChange;
  }

  read(): MeshObjects {
    return this.objects;
  }

  change(change: Change): void {
    const { objects, scope } = changed(this.objects, change);
    this.objects = objects;
    this.#tell(scope);
  }
}

const source = new Held();
const authority = await Authority.of(await makeRoot('cluster.local'), { defaultSeconds: 86_400, maxSeconds: 86_400 });
const nothing = {
  info() {},
  warn() {},
  error(facts: object, message: string) {
    console.error(message, facts);
  },
};
const control = await createControlPlane({
  ...{ source, authority: () => authority, trustDomain: 'cluster.local', reviewToken: null, names: ['istiod'] },
  ...{ identifier: 'bench', clusterId: 'Kubernetes', version: 'bench', log: nothing },
});
const { plaintext } = await control.listen({
  secure: { port: 0, host: '127.0.0.1' },
  plaintext: { port: 0, host: '127.0.0.1' },
  monitoring: [],
});
await control.start();

const tell = (more: Partial<Told> = {}) => {
  const { user, system } = process.cpuUsage();
  process.send!({ cpuMs: (user + system) / 1000, rssMib: process.memoryUsage.rss() / 1048576, ...more } satisfies Told);
};
process.on('message', (message: { change?: Change }) => {
  if (message.change) source.change(message.change);
  else tell();
});
process.on('disconnect', () => process.exit(0));
tell({ port: plaintext! });
