import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { operatorManifest } from './generate-deploy.ts';

test('deploy/operator.yaml is what the code renders', (t) => {
  t.is(readFileSync(join(import.meta.dirname, '../deploy/operator.yaml'), 'utf8'), operatorManifest());
});
