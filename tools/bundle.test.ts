import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { build } from 'esbuild';
import { bundlePrograms, refuseForbidden, refuseWide } from './bundle.ts';

const top = join(import.meta.dirname, '..');

async function metafile(t: { teardown(fn: () => void): void }, source: string) {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const entry = join(folder, 'entry.ts');
  writeFileSync(entry, source);
  const options = {
    nodePaths: [join(top, 'node_modules')],
    entryPoints: [entry],
    platform: 'node' as const,
    format: 'esm' as const,
  };
  const result = await build({ ...options, bundle: true, metafile: true, write: false, logLevel: 'silent' });
  return result.metafile;
}

test('a forbidden package in the proxy fails the build by name', async (t) => {
  const made = await metafile(
    t,
    "import patch from 'fast-json-patch'; import fastify from 'fastify'; console.log(patch, fastify);",
  );
  const error = t.throws(() => refuseForbidden('proxy', made));
  t.regex(error.message, /^bundle proxy: contains fastify/);
  t.notThrows(() => refuseForbidden('control', made));
});

test('a bundle without one passes', async (t) => {
  const made = await metafile(t, "import { parse } from 'yaml'; console.log(parse);");
  t.notThrows(() => refuseForbidden('proxy', made));
});

test('every program is a module that Node reads', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-bundle-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const { file } of await bundlePrograms(join(folder, 'app'))) {
    const { status, stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
    t.is(status, 0, stderr.slice(-500));
  }
});

test('a character outside of ISO 8859-1 is told with its surroundings', (t) => {
  const error = t.throws(() => refuseWide('proxy', 'const units = /ms|\u03bcs/;'));
  t.regex(error.message, /^bundle proxy: .*ms\|\u03bcs/);
  t.notThrows(() => refuseWide('proxy', 'const a = "\u00b5";'));
});
