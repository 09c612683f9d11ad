/** Our samples; and Istio's own files, where a folder of them lies beside the checkout. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseAllDocuments } from 'yaml';
import { customResourceDefinitions } from './crd.ts';
import { describeProblem, isChecked, validate } from './validate.ts';

const top = join(import.meta.dirname, '../..');
const reference = join(process.env.LATEEN_REFERENCE ?? join(top, '../shared/reference'), 'istio');

interface Found {
  file: string;
  object: unknown;
}

function objectsBelow(folder: string): Found[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .flatMap((file) =>
      parseAllDocuments(readFileSync(file, 'utf8')).map((document) => ({ file, object: document.toJS() as unknown })),
    )
    .filter(({ object }) => isChecked(object));
}

function refusals(found: Found[]): string[] {
  return found.flatMap(({ file, object }) =>
    validate(object).errors.map((error) => `${file}: ${describeProblem(object, error)}`),
  );
}

test('our samples are acceptable', (t) => {
  const found = objectsBelow(join(top, 'samples'));
  t.true(found.length > 5);
  t.deepEqual(refusals(found), []);
});

/** Istio's Gateway states one of its rules twice, the second time in another order. */
const repeated = '(has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1';

/** What the API server goes by, without prose: no descriptions, no messages, lists of names in order. */
function bare(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const items = value
      .map((item) => bare(item))
      .filter((item) => (item as { rule?: string } | null)?.rule !== repeated);
    return key === 'required' ? items.sort() : items;
  }
  if (typeof value === 'string') return key === 'rule' ? value.replaceAll(/\s+/g, ' ') : value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, child]) => !(['description', 'message'].includes(name) && typeof child === 'string'))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, child]) => [name, bare(child, name)]),
  );
}

if (existsSync(reference)) {
  test("Istio's samples are acceptable", (t) => {
    const found = objectsBelow(reference);
    t.true(found.length > 20);
    t.deepEqual(refusals(found), []);
  });

  test("CustomResourceDefinitions are Istio's", (t) => {
    const theirs = new Map(
      parseAllDocuments(readFileSync(join(reference, 'crds.yaml'), 'utf8')).map((document) => {
        const crd = document.toJS() as { metadata?: { name?: string } } | null;
        return [crd?.metadata?.name, crd];
      }),
    );
    for (const ours of customResourceDefinitions().filter(({ spec }) => spec.group.endsWith('.istio.io')))
      t.deepEqual(bare(ours), bare(theirs.get(ours.metadata.name)), ours.metadata.name);
  });
}
