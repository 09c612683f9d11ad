import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

const top = join(import.meta.dirname, '..');

/** The programs that `src/main.ts` starts; each has a bundle of its own, so that starting one reads one file. */
export const rooms = ['operator', 'control', 'proxy', 'iptables', 'cli'];

/** Packages that are too heavy for the program that runs beside every pod. */
const forbidden: Record<string, string[]> = {
  proxy: ['fastify', '@kubernetes/client-node', 'kubernetes-models', '@kubernetes-models', 'pino'],
  iptables: [
    'fastify',
    '@kubernetes/client-node',
    'kubernetes-models',
    '@kubernetes-models',
    'pino',
    '@bufbuild/protobuf',
  ],
};

export interface Bundle {
  name: string;
  file: string;
  bytes: number;
}

/** The npm packages whose files went into a bundle. */
function packages(metafile: Metafile): Set<string> {
  const found = new Set<string>();
  for (const input of Object.keys(metafile.inputs)) {
    const match = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input);
    if (match) found.add(match[1]);
  }
  return found;
}

/** Throws, naming the bundle and the packages, when one is where it must not be. */
export function refuseForbidden(name: string, metafile: Metafile): void {
  const names = [...packages(metafile)];
  const wrong = (forbidden[name] ?? []).filter((pattern) =>
    names.some((found) => found === pattern || found.startsWith(`${pattern}/`)),
  );
  if (wrong.length > 0) throw new Error(`bundle ${name}: contains ${wrong.join(', ')}, which must stay out of it`);
}

/** Throws when a source is kept by Node in two bytes a character, because one of them is not in ISO 8859-1. */
export function refuseWide(name: string, source: string): void {
  const at = source.search(/[\u0100-\uffff]/);
  if (at < 0) return;
  const around = source.slice(Math.max(0, at - 40), at + 20);
  throw new Error(`bundle ${name}: ${JSON.stringify(around)} doubles the memory of its source; write it as an escape`);
}

const common = {
  bundle: true,
  format: 'esm' as const,
  platform: 'node' as const,
  target: 'node26',
  minify: true,
  legalComments: 'none' as const,
  logLevel: 'silent' as const,
  // CommonJS packages inside of an ESM bundle ask for it. Short names are the minifier's, which does not look at banners.
  banner: {
    js: "import{createRequire as createRequireOfBundle}from'node:module';const require=createRequireOfBundle(import.meta.url);",
  },
  define: { 'process.env.NODE_ENV': '"production"' },
};

/** In the dispatcher, `import('./ROOM/main.ts')` becomes `import('./ROOM.mjs')`: another bundle. */
const roomsApart: Plugin = {
  name: 'rooms-apart',
  setup(setup) {
    setup.onResolve({ filter: /^\.\/[a-z]+\/main\.ts$/ }, ({ path, kind }) =>
      kind === 'entry-point'
        ? null
        : {
            path: `./${path.split('/')[1]}.mjs`,
            external: true,
          },
    );
  },
};

async function bundle(entry: string, out: string, plugins: Plugin[]): Promise<{ bundle: Bundle; metafile: Metafile }> {
  const { metafile } = await build({
    ...common,
    metafile: true,
    absWorkingDir: top,
    entryPoints: [entry],
    outfile: out,
    external: ['koffi'],
    // A call for every function at the start: 4 MB and tens of milliseconds in the program that runs beside every pod.
    keepNames: !entry.startsWith('src/proxy/'),
    plugins,
  });
  const [written] = Object.values(metafile.outputs);
  return { bundle: { name: basename(out, '.mjs'), file: out, bytes: written.bytes }, metafile };
}

/**
 * Bundles every program into `folder`: `main.mjs`, which starts the others, and one file a room.
 * Throws when a room's bundle holds a package that is forbidden there.
 */
export async function bundlePrograms(folder: string): Promise<Bundle[]> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const made = await Promise.all([
    bundle('src/main.ts', join(folder, 'main.mjs'), [roomsApart]),
    ...rooms.map((room) => bundle(`src/${room}/main.ts`, join(folder, `${room}.mjs`), [])),
  ]);
  for (const { bundle: one, metafile } of made) refuseForbidden(one.name, metafile);
  refuseWide('proxy', readFileSync(join(folder, 'proxy.mjs'), 'utf8'));
  return made.map((one) => one.bundle);
}

/** Bundles one file that has no native parts. */
export async function bundleSample(entry: string, out: string): Promise<Bundle> {
  return (await bundle(entry, out, [])).bundle;
}
