import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tree } from './host-files.ts';
import type { TarEntry } from './tar.ts';

/**
 * Compiled code of the bundles in a folder, as members of a layer below `path/cache`, so that a container starts without
 * compiling: half of the start of the larger programs. Node looks there with `compileCacheEnv` (Node.js documentation,
 * "Module compile cache"; the portable mode goes by paths relative to the cache).
 *
 * The code differs from run to run, so it is made once for the same bundles and kept in the cache folder.
 */
export function compileCache(cacheFolder: string, bundles: string[], path: string): TarEntry[] {
  const hash = createHash('sha256').update(process.version);
  for (const file of bundles) hash.update(basename(file)).update(readFileSync(file));
  const kept = join(cacheFolder, 'images', 'compiled', hash.digest('hex').slice(0, 16));
  if (!existsSync(kept)) {
    const work = `${kept}.${process.pid}`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true });
    for (const file of bundles.filter((name) => basename(name) !== 'main.mjs')) {
      // Written below the bundles themselves, since the entries are named by where a bundle is from there.
      const cache = join(file, '../cache');
      const script =
        "await import(process.argv[1]); (await import('node:module')).flushCompileCache(); process.exit(0);";
      const env = { PATH: process.env.PATH, ...compileCacheEnv(cache) };
      const argv = ['--input-type=module', '-e', script, pathToFileURL(file).href];
      execFileSync(process.execPath, argv, { env, stdio: 'ignore', timeout: 30_000 });
    }
    rmSync(work, { recursive: true });
    renameSync(join(bundles[0], '../cache'), work);
    renameSync(work, kept);
  }
  // Node makes the files readable for their owner alone; a container runs as somebody else.
  return tree(kept, `${path}/cache`).map((entry) => ({ ...entry, mode: 0o644 }));
}

/** The environment that makes Node use a folder of compiled code. */
export function compileCacheEnv(folder: string): Record<string, string> {
  return { NODE_COMPILE_CACHE: folder, NODE_COMPILE_CACHE_PORTABLE: '1' };
}
