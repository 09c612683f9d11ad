import { readFileSync } from 'node:fs';
import test from 'ava';
import { version } from './version.ts';

test('is the version of the package', (t) => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  t.is(version, manifest.version);
});
