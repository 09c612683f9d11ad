/** Tables of specs and what is said of them. */
import test from 'ava';
import { validate } from '../validate.ts';

/** A title, a spec, and each finding as `path: message`; warnings begin with `warning `. Paths are relative to the spec. */
export type Row = [title: string, spec: unknown, findings: string[]];

export function findingsOf(object: unknown): string[] {
  const { errors, warnings } = validate(object);
  const told = ({ path, message }: { path: string; message: string }) => `${path.replace(/^spec\.?/, '')}: ${message}`;
  return [...errors.map(told), ...warnings.map((warning) => `warning ${told(warning)}`)];
}

export function table(apiVersion: string, kind: string, rows: readonly Row[]): void {
  for (const [title, spec, findings] of rows)
    test(title, (t) =>
      t.deepEqual(findingsOf({ apiVersion, kind, metadata: { name: 'x', namespace: 'shop' }, spec }), findings),
    );
}
