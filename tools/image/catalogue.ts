import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../e2e/local/folders.ts';
import { sampleHubs, sampleImages, sampleTag } from '../../samples/bookinfo/images.ts';
import { type Bundle, bundlePrograms, bundleSample } from '../bundle.ts';
import { type Image, type ImageConfig, writeArchive } from './archive.ts';
import { compileCache, compileCacheEnv } from './compile-cache.ts';
import { hostFiles, present, tree } from './host-files.ts';
import { controlSettings, type NodeSettings, proxySettings } from './node-settings.ts';
import type { TarEntry } from './tar.ts';

const top = join(import.meta.dirname, '../..');
const dist = join(top, 'dist');

/** Debian packages that the images' files come from, with a file of each. */
export const imagePackages = [
  { name: 'iptables', file: '/usr/sbin/xtables-nft-multi' },
  { name: 'iproute2', file: '/usr/sbin/ip' },
  { name: 'curl', file: '/usr/bin/curl' },
  { name: 'openssl', file: '/usr/bin/openssl' },
  { name: 'tcpdump', file: '/usr/bin/tcpdump' },
];

const version: string = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')).version;
export const lateenImage = `docker.io/lateen/lateen:${version}`;
export const toolsImage = 'docker.io/lateen/e2e-tools:1';

const path = 'PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin';

function folder(name: string, mode = 0o755): TarEntry {
  return { type: 'directory', path: name, mode };
}

function link(name: string, target: string): TarEntry {
  return { type: 'symlink', path: name, target };
}

function text(name: string, lines: string[]): TarEntry {
  return { type: 'file', path: name, mode: 0o644, content: `${lines.join('\n')}\n` };
}

/** Debian's multi-call program in the format of the machine's `iptables`; other names call it by what they are named. */
const nftNames = ['iptables', 'ip6tables'].flatMap((name) =>
  ['', '-save', '-restore'].flatMap((verb) => [`${name}${verb}`, `${name}-nft${verb}`]),
);
const legacyNames = ['iptables', 'ip6tables'].flatMap((name) =>
  ['', '-save', '-restore'].map((verb) => `${name}-legacy${verb}`),
);

/** Node and a small shell: the same bytes below every image, so that all containers share them in memory. */
function baseLayer(): TarEntry[] {
  const commands = ['cat', 'env', 'ls', 'mkdir', 'sleep', 'id', 'rm', 'cp', 'head', 'date', 'kill'].map(
    (name) => `/usr/bin/${name}`,
  );
  return [
    ...['dev', 'proc', 'sys', 'run', 'etc', 'root', 'app', 'var'].map((name) => folder(name)),
    folder('tmp', 0o1777),
    ...['bin', 'sbin', 'lib', 'lib64'].flatMap((name) => [folder(`usr/${name}`), link(name, `usr/${name}`)]),
    ...hostFiles([
      { source: process.execPath, path: '/usr/local/bin/node' },
      { source: '/usr/bin/dash', path: '/usr/bin/sh' },
      ...present(commands),
    ]),
    text('etc/passwd', [
      'root:x:0:0:root:/root:/bin/sh',
      'lateen:x:1337:1337::/tmp:/bin/sh',
      'nobody:x:65534:65534::/tmp:/bin/sh',
    ]),
    text('etc/group', ['root:x:0:', 'lateen:x:1337:', 'nogroup:x:65534:']),
    text('etc/nsswitch.conf', ['passwd: files', 'group: files', 'hosts: files dns']),
  ];
}

function iptablesLayer(): TarEntry[] {
  const libraries = readdirSync('/usr/lib').map((name) => `/usr/lib/${name}/xtables`);
  const extensions = present(libraries).flatMap((from) => readdirSync(from).map((name) => `${from}/${name}`));
  return [
    ...hostFiles(['/usr/sbin/xtables-nft-multi', '/usr/sbin/xtables-legacy-multi', '/usr/sbin/ip', ...extensions]),
    ...nftNames.map((name) => link(`usr/sbin/${name}`, 'xtables-nft-multi')),
    ...legacyNames.map((name) => link(`usr/sbin/${name}`, 'xtables-legacy-multi')),
    ...present(['/etc/protocols']).map(
      (file): TarEntry => ({ type: 'copy', path: file.slice(1), mode: 0o644, source: file }),
    ),
  ];
}

/** koffi and its native part for this kind of machine; bundling cannot take a native file in. */
function koffi(): TarEntry[] {
  const modules = join(top, 'node_modules');
  const native = `@koromix/koffi-linux-${process.arch}`;
  const wanted = (name: string) =>
    /^(package\.json|index\.c?js)$/.test(name) ||
    /^(src\/koffi\/(src\/)?[^/]+\.c?js|linux_[a-z0-9]+\/[^/]+)$/.test(name);
  return ['koffi', native].flatMap((name) => tree(join(modules, name), `app/node_modules/${name}`, wanted));
}

/** Loaded by the proxy when a pattern needs it, by name, so that those that need none do not pay for it. */
function re2js(): TarEntry[] {
  const wanted = (name: string) => /^(package\.json|LICENSE|build\/index\.cjs)$/.test(name);
  return tree(join(top, 'node_modules/re2js'), 'app/node_modules/re2js', wanted);
}

const startsWith = ({ flags, environment }: NodeSettings): string[] => [
  `    export ${Object.entries(environment)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')}`,
  `    exec /usr/local/bin/node ${flags.join(' ')} /app/main.mjs "$@" ;;`,
];

/** Starts Node, for some programs with settings of their own. A sidecar's arguments are `iptables … -- proxy …`. */
const launcher = [
  '#!/bin/sh',
  'case " $* " in',
  '  " proxy "*|" iptables "*" -- proxy "*)',
  ...startsWith(proxySettings),
  '  " control "*)',
  ...startsWith(controlSettings),
  '  *) exec /usr/local/bin/node /app/main.mjs "$@" ;;',
  'esac',
];

function programLayer(bundles: Bundle[]): TarEntry[] {
  return [
    ...bundles.map(({ file, name }): TarEntry => {
      return { type: 'file', path: `app/${name}.mjs`, mode: 0o644, content: readFileSync(file) };
    }),
    { type: 'file', path: 'usr/local/bin/lateen', mode: 0o755, content: `${launcher.join('\n')}\n` },
    text('app/package.json', [JSON.stringify({ type: 'module' })]),
    ...compileCache(
      cacheFolder,
      bundles.map(({ file }) => file),
      'app',
    ),
  ];
}

async function lateen(): Promise<Image> {
  const bundles = await bundlePrograms(dist);
  const cacheEnv = Object.entries(compileCacheEnv('/app/cache')).map(([key, value]) => `${key}=${value}`);
  const config: ImageConfig = { Entrypoint: ['lateen'], Env: [path, ...cacheEnv], User: '1337:1337', WorkingDir: '/' };
  return {
    references: [lateenImage],
    layers: [baseLayer(), [...iptablesLayer(), ...koffi(), ...re2js()], programLayer(bundles)],
    config,
  };
}

async function bookinfo(): Promise<Image[]> {
  const work = join(dist, 'samples');
  mkdirSync(work, { recursive: true });
  const base = baseLayer();
  const services = [...new Set(sampleImages.map((image) => image.service))];
  const layers = new Map<string, TarEntry[]>();
  for (const service of services) {
    const source = join(top, `samples/bookinfo/${service}.ts`);
    const { file } = await bundleSample(source, join(work, `${service}.mjs`));
    layers.set(service, [{ type: 'file', path: 'app/service.mjs', mode: 0o644, content: readFileSync(file) }]);
  }
  return sampleImages.map(({ name, service, env }) => ({
    references: sampleHubs.map((hub) => `${hub}/${name}:${sampleTag}`),
    layers: [base, layers.get(service) ?? []],
    config: {
      Entrypoint: ['node', '/app/service.mjs'],
      Cmd: ['9080'],
      Env: [path, ...Object.entries(env).map(([key, value]) => `${key}=${value}`)],
      User: '1000:1000',
      WorkingDir: '/app',
    },
  }));
}

/** What tests run inside of the cluster, also under the name of the image that Istio's `curl` sample asks for. */
function tools(): Image {
  const commands = [
    'bash',
    'curl',
    'openssl',
    'tcpdump',
    'grep',
    'sed',
    'seq',
    'sort',
    'uniq',
    'wc',
    'tr',
    'tail',
    'ss',
    'timeout',
    'nsenter',
    'touch',
  ];
  const certificates = present(['/etc/ssl/certs/ca-certificates.crt']);
  return {
    references: [toolsImage, 'docker.io/curlimages/curl:8.16.0'],
    layers: [
      baseLayer(),
      [
        ...hostFiles(present(commands.map((name) => `/usr/bin/${name}`))),
        ...hostFiles(['/usr/sbin/ip']),
        ...certificates.map((file): TarEntry => ({ type: 'copy', path: file.slice(1), mode: 0o644, source: file })),
      ],
    ],
    config: { Cmd: ['sleep', 'infinity'], Env: [path], WorkingDir: '/' },
  };
}

/** Builds the mesh's image, with its bundles in `dist/`, and returns the archive's path in the cache folder. */
export async function buildLateenImage(): Promise<string> {
  return writeArchive(cacheFolder, 'lateen', [await lateen()]);
}

/** Builds what else the tests run: the sample services and the toolbox. Returns the archive's path in the cache folder. */
export async function buildTestImages(): Promise<string> {
  return writeArchive(cacheFolder, 'tests', [...(await bookinfo()), tools()]);
}
