import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../e2e/local/folders.ts';
import { type Image, writeArchive } from '../tools/image/archive.ts';
import type { TarEntry } from '../tools/image/tar.ts';
import { type Programs, suiteFolder } from './programs.ts';

const path = '/usr/local/bin';

/** An image of one static program, which is called by any of the names; the first is what a container starts. */
function image(program: string, names: string[], references: string[]): Image {
  const [first, ...others] = names;
  const at = (name: string) => `${path}/${name}`.slice(1);
  const links = others.map((name): TarEntry => ({ type: 'symlink', path: at(name), target: first }));
  return {
    references,
    layers: [[{ type: 'copy', path: at(first), mode: 0o755, source: program }, ...links]],
    config: { Entrypoint: [first], Env: [`PATH=${path}`], WorkingDir: '/' },
  };
}

/** Every image that the suite's manifests name. */
function named(folder: string): string[] {
  const names = ['base', 'mesh', 'tests'].flatMap((part) =>
    readdirSync(join(folder, part), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.yaml'))
      .flatMap((entry) => [
        ...readFileSync(join(entry.parentPath, entry.name), 'utf8').matchAll(/\simage: *"?([^\s"]+)/g),
      ])
      .map((match) => match[1]),
  );
  return [...new Set(names)].sort();
}

/**
 * Builds the images of the suite's own backends under the names that its manifests ask for. Returns the archive's path in the
 * cache folder. Throws when the manifests name an image that nothing here stands for.
 */
export async function buildSuiteImages(programs: Programs): Promise<string> {
  const stands: Record<string, [program: string, names: string[]]> = {
    'echo-basic': [programs.echoBasic, ['echo-basic']],
    'echo-advanced': [programs.echoAdvanced, ['server', 'client']],
    coredns: [programs.coredns, ['coredns']],
  };
  const references = new Map<string, string[]>();
  for (const reference of named(await suiteFolder())) {
    const name = /([^/:]+):[^/:]+$/.exec(reference)?.[1] ?? reference;
    if (!Object.hasOwn(stands, name))
      throw new Error(`${reference}: a manifest of the suite names it; add a program for it to conformance/images.ts`);
    references.set(name, [...(references.get(name) ?? []), reference]);
  }
  const images = [...references].map(([name, wanted]) => image(...stands[name], wanted));
  return writeArchive(cacheFolder, 'conformance', images);
}
