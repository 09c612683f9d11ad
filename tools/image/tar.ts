import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';

/** One member of a tar file. Paths are relative, without a leading slash. Owner and group are 0 unless told. */
export type TarEntry = { path: string; uid?: number; gid?: number } & (
  | { type: 'directory'; mode: number }
  | { type: 'symlink'; target: string }
  | { type: 'file'; mode: number; content: Buffer | string }
  /** A file of this machine, read when the tar file is written. */
  | { type: 'copy'; mode: number; source: string }
);

const block = 512;
const copyBytes = 1024 * 1024;

/** A ustar header (POSIX.1-2017, pax utility, "ustar Interchange Format"); time stamps are always 0. */
function header(entry: TarEntry, path: string, size: number, kind: string): Buffer {
  const out = Buffer.alloc(block);
  const octal = (value: number, offset: number, length: number) =>
    out.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  out.write(path, 0, 100, 'utf8');
  octal('mode' in entry ? entry.mode : 0o777, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  out.write('        ', 148, 'latin1');
  out.write(kind, 156, 'latin1');
  if (entry.type === 'symlink') out.write(entry.target, 157, 100, 'utf8');
  out.write('ustar\u000000', 257, 'latin1');
  let sum = 0;
  for (const byte of out) sum += byte;
  out.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return out;
}

/** GNU's way for a name of more than 100 bytes: a member of type L with the name as its content comes first. */
function longName(path: string): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const entry: TarEntry = { path: '', type: 'file', mode: 0o644, content: '' };
  return [header(entry, '././@LongLink', name.length, 'L'), name, padding(name.length)];
}

function padding(size: number): Buffer {
  return Buffer.alloc((block - (size % block)) % block);
}

/**
 * Writes a tar file whose bytes depend on the entries alone, which are put in order of their paths, and returns its
 * SHA-256 in hexadecimal. Throws when a link's target is longer than 100 bytes or a copied file cannot be read whole.
 */
export function writeTar(file: string, entries: TarEntry[]): string {
  const hash = createHash('sha256');
  const out = openSync(file, 'w');
  const put = (bytes: Buffer) => {
    hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(out, bytes, done);
  };
  try {
    for (const entry of [...entries].sort((a, b) => (a.path < b.path ? -1 : 1))) {
      const path = entry.type === 'directory' ? `${entry.path}/` : entry.path;
      if (Buffer.byteLength(path) > 100) longName(path).forEach(put);
      if (entry.type === 'directory') put(header(entry, path, 0, '5'));
      else if (entry.type === 'symlink') {
        if (Buffer.byteLength(entry.target) > 100) throw new Error(`${path}: link target over 100 bytes`);
        put(header(entry, path, 0, '2'));
      } else if (entry.type === 'file') {
        const content = Buffer.from(entry.content);
        put(header(entry, path, content.length, '0'));
        put(content);
        put(padding(content.length));
      } else copy(entry, path, put);
    }
    put(Buffer.alloc(2 * block));
  } finally {
    closeSync(out);
  }
  return hash.digest('hex');
}

function copy(entry: TarEntry & { type: 'copy' }, path: string, put: (bytes: Buffer) => void): void {
  const { size } = statSync(entry.source);
  put(header(entry, path, size, '0'));
  const from = openSync(entry.source, 'r');
  try {
    const piece = Buffer.alloc(Math.min(copyBytes, size));
    for (let left = size; left > 0; ) {
      const read = readSync(from, piece, 0, Math.min(piece.length, left), null);
      if (read === 0) throw new Error(`${entry.source}: became shorter while it was read`);
      put(piece.subarray(0, read));
      left -= read;
    }
  } finally {
    closeSync(from);
  }
  put(padding(size));
}
