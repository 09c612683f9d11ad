import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parents } from './host-files.ts';
import { type TarEntry, writeTar } from './tar.ts';

/** Image configuration that is used here (OCI image specification, "Image Configuration", `config`). */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
}

/** An image: full references with tags, and layers from the bottom up. Images that name the same layer share its file. */
export interface Image {
  references: string[];
  layers: TarEntry[][];
  config: ImageConfig;
}

interface Layer {
  file: string;
  /** SHA-256 of the uncompressed tar file, hexadecimal. */
  digest: string;
}

/** What a layer is made of, without reading big files: a file of this machine counts by path, size and time. */
function fingerprint(entries: TarEntry[]): string {
  const hash = createHash('sha256');
  for (const entry of [...entries].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const { path, type, uid = 0, gid = 0 } = entry;
    hash.update(JSON.stringify([path, type, uid, gid, 'mode' in entry ? entry.mode : 0]));
    if (entry.type === 'file') hash.update(entry.content);
    else if (entry.type === 'symlink') hash.update(entry.target);
    else if (entry.type === 'copy') {
      const { size, mtimeMs } = statSync(entry.source);
      hash.update(JSON.stringify([entry.source, size, mtimeMs]));
    }
  }
  return hash.digest('hex').slice(0, 32);
}

const keptMs = 3 * 24 * 3600 * 1000;
const keptArchives = 2;

function used(file: string): void {
  utimesSync(file, new Date(), new Date());
}

function layer(folder: string, entries: TarEntry[]): Layer {
  const whole = [...parents(entries), ...entries];
  const file = join(folder, `${fingerprint(whole)}.tar`);
  const digestFile = `${file}.sha256`;
  if (!existsSync(digestFile)) {
    const work = `${file}.${process.pid}`;
    const digest = writeTar(work, whole);
    renameSync(work, file);
    writeFileSync(digestFile, digest);
  }
  used(file);
  used(digestFile);
  return { file, digest: readFileSync(digestFile, 'utf8') };
}

function prune(folder: string, stale: (file: string, index: number) => boolean, pattern: RegExp): void {
  const files = readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  files.filter(stale).forEach((file) => {
    rmSync(file, { force: true });
  });
}

/**
 * Writes the images to one docker-archive file in the cache folder, which `ctr images import`, `docker load` and
 * `kind load image-archive` read, and returns its path. The name tells the content; an archive that is there already is
 * not written again. The same files give the same bytes.
 */
export function writeArchive(cacheFolder: string, name: string, images: Image[]): string {
  const folder = join(cacheFolder, 'images');
  const layers = join(folder, 'layers');
  mkdirSync(layers, { recursive: true });

  const members = new Map<string, TarEntry>();
  const manifest = images.map((image) => {
    const stack = image.layers.map((entries) => layer(layers, entries));
    const config = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: image.config,
      rootfs: { type: 'layers', diff_ids: stack.map(({ digest }) => `sha256:${digest}`) },
      history: stack.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'lateen' })),
    });
    const configPath = `${createHash('sha256').update(config).digest('hex')}.json`;
    members.set(configPath, { type: 'file', path: configPath, mode: 0o644, content: config });
    for (const { digest, file } of stack) {
      const path = `${digest}.tar`;
      members.set(path, { type: 'copy', path, mode: 0o644, source: file });
    }
    return { Config: configPath, RepoTags: image.references, Layers: stack.map(({ digest }) => `${digest}.tar`) };
  });
  const text = JSON.stringify(manifest);
  members.set('manifest.json', { type: 'file', path: 'manifest.json', mode: 0o644, content: text });

  const archive = join(folder, `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 16)}.tar`);
  if (!existsSync(archive)) {
    const work = `${archive}.${process.pid}`;
    writeTar(work, [...members.values()]);
    renameSync(work, archive);
  }
  used(archive);
  prune(folder, (_, index) => index >= keptArchives, new RegExp(`^${name}-[0-9a-f]{16}\\.tar$`));
  prune(layers, (file) => Date.now() - statSync(file).mtimeMs > keptMs, /\.tar(\.sha256)?$/);
  return archive;
}
