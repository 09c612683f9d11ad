import test from 'ava';
import fc from 'fast-check';
import { staleFiles } from '../../tools/generate-crds.ts';
import { apiVersions } from './kind.ts';
import { kinds } from './kinds.ts';
import { Findings } from './schema/findings.ts';
import { formatPath, type Path, parsePath } from './schema/problem.ts';
import { validatorOf } from './schema/validator.ts';
import { arbitraryOf } from './testing/arbitrary.ts';
import { validate } from './validate.ts';

test('crds/ holds what the definitions give; "npm run generate" renews it', (t) => t.deepEqual(staleFiles(), []));

/** Codes that rules do not use: arbitrary values do not keep to rules. */
const structural = ['type', 'unknownField'];

function objectOf(kind: (typeof kinds)[number], spec: unknown): Record<string, unknown> {
  return { apiVersion: apiVersions(kind)[0], kind: kind.kind, metadata: { name: 'x' }, spec };
}

/** Every path in a value, with the kind of JSON that is there. */
function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const entries = Array.isArray(value) ? value.map((item, i) => [i, item] as const) : Object.entries(value);
  return [at, ...entries.flatMap(([key, item]) => pathsOf(item, [...at, key]))];
}

function lookUp(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string | number, unknown> | undefined)?.[key], value);
}

for (const kind of kinds) {
  const spec = arbitraryOf(kind.spec);

  test(`${kind.kind}: a value of the schema's shape has no structural error`, (t) => {
    fc.assert(
      fc.property(spec, (value) => {
        const { errors } = validate(objectOf(kind, value));
        t.deepEqual(
          errors.filter(({ code }) => structural.includes(code)),
          [],
        );
      }),
      { numRuns: 60 },
    );
  });

  test(`${kind.kind}: a wrong type anywhere is an error at its path`, (t) => {
    fc.assert(
      fc.property(spec, fc.nat(), (value, seed) => {
        const changed = structuredClone(value);
        const paths = pathsOf(changed).filter((path) => path.length > 0);
        if (paths.length === 0) return;
        const path = paths[seed % paths.length];
        const parent = lookUp(changed, path.slice(0, -1)) as Record<string | number, unknown>;
        const before = parent[path.at(-1)!];
        const wrong = { 'not a field of anything': true };
        parent[path.at(-1)!] = typeof before === 'object' && !Array.isArray(before) ? [wrong] : wrong;
        const findings = new Findings(Number.POSITIVE_INFINITY);
        validatorOf(kind.spec)(changed, findings);
        const isTold = findings.result().errors.some((error) => error.path.startsWith(formatPath(path)));
        t.true(isTold || isOpen(kind.spec, path), formatPath(path));
      }),
      { numRuns: 60 },
    );
  });

  test(`${kind.kind}: every problem is at a path that is there, or is missing from one that is`, (t) => {
    fc.assert(
      fc.property(spec, (value) => {
        const object = objectOf(kind, value);
        const { errors, warnings } = validate(object);
        for (const { path } of [...errors, ...warnings]) {
          const segments = parsePath(path);
          const known =
            segments.length === 0 ||
            lookUp(object, segments) !== undefined ||
            lookUp(object, segments.slice(0, -1)) !== undefined ||
            lookUp(object, segments.slice(0, -2)) !== undefined;
          t.true(known, path);
        }
      }),
      { numRuns: 60 },
    );
  });

  test(`${kind.kind}: nothing at all makes validation throw`, (t) => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (value, metadata) => {
        validate({ apiVersion: apiVersions(kind)[0], kind: kind.kind, metadata, spec: value });
        validate({ ...objectOf(kind, value), status: metadata });
        validate(value);
      }),
    );
    t.pass();
  });
}

/** Whether the schema lets anything be at a path. */
function isOpen(node: (typeof kinds)[number]['spec'], path: Path): boolean {
  let at = node as (typeof kinds)[number]['spec'] | undefined;
  for (const key of path) {
    if (!at || at.type === 'anything') return true;
    if (at.type === 'object') {
      if (!(key in at.fields)) return at.unlisted !== undefined;
      at = at.fields[key];
    } else if (at.type === 'array') at = at.items;
    else if (at.type === 'map') at = at.values;
  }
  return at?.type === 'anything';
}
