/** Where a run works: a folder of its own with certificates, configurations, logs and our bundle, and the upstreams. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestAuthority } from '../../src/proxy/testing/certificates.ts';
import { bundlePrograms } from '../../tools/bundle.ts';
import { proxySettings } from '../../tools/image/node-settings.ts';
import { type Command, freePorts, loadCore, PinnedProcess } from './contender.ts';
import { Issuer } from './issuer.ts';
import { upstreamConfig } from './nginx.ts';

const top = join(import.meta.dirname, '../..');

/** Files in PEM. */
export interface Certificate {
  readonly chain: string;
  readonly key: string;
}

export interface UpstreamPorts {
  readonly http: number;
  /** Demands a client's certificate. */
  readonly tls: number;
  /** HTTP/2 without TLS, answers as gRPC does. */
  readonly grpc: number;
}

export class Scene {
  readonly folder: string;
  readonly roots: string;
  readonly server: Certificate;
  readonly client: Certificate;
  readonly upstream: UpstreamPorts;
  readonly issuer: Issuer = new Issuer();
  private readonly processes: PinnedProcess[] = [];

  private constructor(folder: string, server: Certificate, client: Certificate, upstream: UpstreamPorts) {
    this.folder = folder;
    this.roots = join(folder, 'roots.pem');
    this.server = server;
    this.client = client;
    this.upstream = upstream;
  }

  static async make(): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), 'lateen-bench-'));
    const authority = await TestAuthority.make();
    writeFileSync(join(folder, 'roots.pem'), authority.roots);
    const issue = async (name: string): Promise<Certificate> => {
      const leaf = await authority.issue(`spiffe://cluster.local/ns/bench/sa/${name}`);
      const files = { chain: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
      writeFileSync(files.chain, leaf.chain);
      writeFileSync(files.key, leaf.key, { mode: 0o600 });
      return files;
    };
    const [server, client] = [await issue('server'), await issue('client')];
    await bundlePrograms(join(folder, 'app'));
    // Its native parts are found beside the bundle; a copy of Node shares no page with the other Nodes of this machine.
    symlinkSync(join(top, 'node_modules'), join(folder, 'app/node_modules'));
    cpSync(process.execPath, join(folder, 'node'));
    const [http, tls, grpc] = await freePorts(3);
    const scene = new Scene(folder, server, client, { http, tls, grpc });
    const upstream = scene.start('upstream', upstreamConfig(scene), loadCore);
    await Promise.all([http, tls, grpc].map((port) => upstream.untilListening(port)));
    return scene;
  }

  file(name: string, content: string): string {
    const path = join(this.folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  start(name: string, command: Command, core: number): PinnedProcess {
    const started = new PinnedProcess(name, command, core, join(this.folder, `${name.replace(/\W+/g, '-')}.log`));
    this.processes.push(started);
    return started;
  }

  /** `lateen proxy -c FILE` as the image starts it. */
  lateen(config: string): Command {
    return {
      argv: [
        join(this.folder, 'node'),
        ...proxySettings.flags,
        join(this.folder, 'app/main.mjs'),
        'proxy',
        '-c',
        config,
      ],
      env: proxySettings.environment,
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.end()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
