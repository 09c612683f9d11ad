/** Writes `deploy/operator.yaml` from `src/operator/deployment.ts`. With `--check` it writes nothing and fails when the file is stale. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { resolve } from '../src/api/installation/profiles.ts';
import { operatorObjects } from '../src/operator/deployment.ts';

const path = join(import.meta.dirname, '../deploy/operator.yaml');

export function operatorManifest(): string {
  const { hub, tag } = resolve({});
  const objects = operatorObjects({ image: `${hub}/lateen:${tag}` });
  const documents = objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
  return `# Made by "npm run generate" from src/operator/deployment.ts; edits are lost.\n${documents.join('---\n')}`;
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) writeFileSync(path, operatorManifest());
  else if (readFileSync(path, 'utf8') !== operatorManifest()) {
    console.error('deploy/operator.yaml is stale; run "npm run generate"');
    process.exitCode = 1;
  }
}
