/** What is wrong with one field. */
export interface Problem {
  /** The field in JSON notation, from the object's root: `spec.http[2].match[0].headers["x-user"].exact`. */
  path: string;
  /** Reads on from the path: `must be 1–65535, is 99999`. */
  message: string;
  code: ProblemCode;
}

export type ProblemCode =
  | 'type'
  | 'required'
  | 'unknownField'
  | 'unknownKind'
  | 'range'
  | 'enum'
  | 'format'
  | 'oneOf'
  | 'conflict'
  | 'duplicate'
  | 'deprecated'
  | 'unreachable'
  | 'rule';

export interface Validation {
  /** Each makes the object unacceptable. */
  errors: Problem[];
  /** Each lets the object in, though it may not do what its author expects. */
  warnings: Problem[];
}

export type Path = ReadonlyArray<string | number>;

/** Where rules put what they find; paths are relative to the value that the rule was given. */
export interface Report {
  error(path: Path, message: string, code?: ProblemCode): void;
  warning(path: Path, message: string, code?: ProblemCode): void;
}

const plainKey = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Writes path segments as JSON notation does: `['http', 0, 'headers', 'x-user']` → `http[0].headers["x-user"]`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (plainKey.test(segment)) text += text ? `.${segment}` : segment;
    else text += `[${JSON.stringify(segment)}]`;
  }
  return text;
}

/** Reads JSON notation back into segments; the inverse of `formatPath`. */
export function parsePath(text: string): Array<string | number> {
  return Array.from(text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g), (part) =>
    part[1] !== undefined ? Number(part[1]) : part[2] !== undefined ? (JSON.parse(part[2]) as string) : part[3],
  );
}

/** Shows a value in a message: short, on one line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** A report for a part of the value: paths are relative to that part. */
export function below(report: Report, ...segments: Path): Report {
  return {
    error: (path, message, code) => report.error([...segments, ...path], message, code),
    warning: (path, message, code) => report.warning([...segments, ...path], message, code),
  };
}

/** Runs a rule on every entry of a list that is a field of the value. */
export function each<T>(
  report: Report,
  field: string,
  list: readonly T[] | undefined,
  rule: (item: T, report: Report, index: number) => void,
): void {
  for (const [i, item] of (list ?? []).entries()) rule(item, below(report, field, i), i);
}

/** Runs a rule on every entry of a map that is a field of the value. */
export function eachEntry<T>(
  report: Report,
  field: string,
  map: Readonly<Record<string, T>> | undefined,
  rule: (key: string, value: T, report: Report) => void,
): void {
  for (const [key, value] of Object.entries(map ?? {})) rule(key, value, below(report, field, key));
}
