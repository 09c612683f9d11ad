import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parents } from './host-files.ts';
import { type TarEntry, writeTar } from './tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-tar-'));
test.after.always(() => rmSync(folder, { recursive: true }));

const deep = `${'deep/'.repeat(30)}file`;
const entries: TarEntry[] = [
  { type: 'file', path: 'b', mode: 0o755, content: 'x'.repeat(513), uid: 1337, gid: 1337 },
  { type: 'directory', path: 'a', mode: 0o1777 },
  { type: 'symlink', path: 'a/link', target: '../b' },
  { type: 'file', path: deep, mode: 0o600, content: '' },
  { type: 'copy', path: 'copy', mode: 0o644, source: import.meta.filename },
];

test('tar reads back what was written', (t) => {
  const file = join(folder, 'one.tar');
  const digest = writeTar(file, entries);
  t.is(digest, createHash('sha256').update(readFileSync(file)).digest('hex'));
  t.is(readFileSync(file).length % 512, 0);
  const list = execFileSync('tar', ['--numeric-owner', '-tvf', file], { encoding: 'utf8' });
  t.regex(list, /^drwxrwxrwt 0\/0 +0 1970-01-01 .* a\/$/m);
  t.regex(list, /^-rwxr-xr-x 1337\/1337 +513 1970-01-01 .* b$/m);
  t.regex(list, / a\/link -> \.\.\/b$/m);
  t.true(list.includes(` ${deep}\n`));
  t.is(execFileSync('tar', ['-xOf', file, 'copy'], { encoding: 'utf8' }), readFileSync(import.meta.filename, 'utf8'));
});

test('the order of the entries does not change the bytes', (t) => {
  const digest = writeTar(join(folder, 'two.tar'), entries);
  t.is(writeTar(join(folder, 'three.tar'), entries.toReversed()), digest);
});

test('a link that does not fit is refused by name', (t) => {
  const entry: TarEntry = { type: 'symlink', path: 'l', target: 'x'.repeat(101) };
  t.throws(() => writeTar(join(folder, 'four.tar'), [entry]), { message: 'l: link target over 100 bytes' });
});

test('folders above an entry are made once', (t) => {
  const paths = parents([
    { type: 'file', path: 'a/b/c', mode: 0o644, content: '' },
    { type: 'file', path: 'a/d', mode: 0o644, content: '' },
    { type: 'directory', path: 'a', mode: 0o700 },
  ]).map((entry) => entry.path);
  t.deepEqual(paths, ['a/b']);
});
