/** Writes `crds/*.yaml`, one file a kind, from `src/api/`. With `--check` it writes nothing and fails when a file is stale. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { customResourceDefinitions } from '../src/api/crd.ts';

const folder = join(import.meta.dirname, '../crds');

/** File name → text of every CustomResourceDefinition. kubectl reads YAML 1.1, where a bare OFF is false: `compat` quotes such words. */
export function crdFiles(): Map<string, string> {
  return new Map(
    customResourceDefinitions().map((crd) => [
      `${crd.metadata.name}.yaml`,
      `# Made by "npm run generate" from src/api/; edits are lost.\n${stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' })}`,
    ]),
  );
}

/** Files that are missing, stale or left over. */
export function staleFiles(): string[] {
  const files = crdFiles();
  const present = new Set(readdirSync(folder));
  const stale = [...files].filter(
    ([name, text]) => !present.has(name) || readFileSync(join(folder, name), 'utf8') !== text,
  );
  return [...stale.map(([name]) => name), ...[...present].filter((name) => !files.has(name))];
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    for (const name of staleFiles()) {
      console.error(`crds/${name} is stale; run "npm run generate"`);
      process.exitCode = 1;
    }
  } else {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const [name, text] of crdFiles()) writeFileSync(join(folder, name), text);
  }
}
