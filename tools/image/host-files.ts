import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TarEntry } from './tar.ts';

/** A program of this machine and where it goes, or just its path when that is the same. */
export type HostFile = string | { source: string; path: string };

/** The folders that Debian has merged below /usr. */
const merged = /^\/(bin|sbin|lib|lib64)\//;

function inImage(path: string): string {
  return path.replace(merged, '/usr/$1/').slice(1);
}

/** The libraries that the dynamic loader would load for these files, as it names them; none for static programs. */
function libraries(files: string[]): string[] {
  // ldd fails when one of its arguments is static, having listed the rest.
  const found = execFileSync('sh', ['-c', 'ldd "$@" 2>/dev/null || true', 'sh', ...files], { encoding: 'utf8' });
  const paths = new Set<string>();
  for (const line of found.split('\n')) {
    const match = /^\s+(?:\S+ => )?(\/\S+) \(0x/.exec(line);
    if (match) paths.add(match[1]);
  }
  return [...paths];
}

/**
 * Files of this machine with the libraries that they load, as members of a layer; links are followed.
 * Throws with the paths of those that do not exist.
 */
export function hostFiles(files: HostFile[]): TarEntry[] {
  const wanted = files.map((file) => (typeof file === 'string' ? { source: file, path: file } : file));
  const absent = wanted.filter((file) => !existsSync(file.source)).map((file) => file.source);
  if (absent.length > 0) throw new Error(`not on this machine: ${absent.join(', ')}`);
  const entries = new Map<string, TarEntry>();
  const add = (source: string, path: string) => {
    const real = realpathSync(source);
    entries.set(path, { type: 'copy', path, source: real, mode: statSync(real).mode & 0o777 });
  };
  for (const file of wanted) add(file.source, inImage(file.path));
  for (const library of libraries(wanted.map((file) => file.source))) add(library, inImage(library));
  return [...entries.values()];
}

/** Those of the paths that exist here. */
export function present(paths: string[]): string[] {
  return paths.filter((path) => existsSync(path));
}

/** The folders above the entries that no entry makes, 0755. */
export function parents(entries: TarEntry[]): TarEntry[] {
  const known = new Set(entries.map((entry) => entry.path));
  const made: TarEntry[] = [];
  for (const entry of entries)
    for (let folder = dirname(entry.path); folder !== '.' && !known.has(folder); folder = dirname(folder)) {
      known.add(folder);
      made.push({ type: 'directory', path: folder, mode: 0o755 });
    }
  return made;
}

/** Every file below a folder, as members of a layer below another path. */
export function tree(folder: string, path: string, wanted: (name: string) => boolean = () => true): TarEntry[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1))
    .filter(wanted)
    .map((name) => {
      const source = `${folder}/${name}`;
      return { type: 'copy', path: `${path}/${name}`, source, mode: statSync(source).mode & 0o777 };
    });
}
