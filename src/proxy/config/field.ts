import type { DescMessage, Message } from '@bufbuild/protobuf';
import { fromBinary, isFieldSet } from '@bufbuild/protobuf';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { compileRegex } from '../../lib/regex.ts';

/** More are counted, not told. */
const maxProblems = 100;

/**
 * A place in a resource. Compilers walk down with `at`, and `fail` notes a problem under the whole path, so that one pass
 * reports everything that is wrong.
 */
export class Field {
  readonly problems: string[];
  readonly #parent: Field | null;
  readonly #step: string;

  /** `subject` is what the problems begin with: `listener virtualInbound`. */
  constructor(subject: string, problems: string[] = [], parent: Field | null = null) {
    this.#step = subject;
    this.problems = problems;
    this.#parent = parent;
  }

  /** The field `name` of this one, or its `index`th item. Names as in the .proto files. */
  at(name: string, index?: number): Field {
    return new Field(index === undefined ? name : `${name}[${index}]`, this.problems, this);
  }

  get path(): string {
    const parent = this.#parent;
    if (!parent) return this.#step;
    return `${parent.path}${parent.#parent ? '.' : ': '}${this.#step}`;
  }

  fail(problem: string): void {
    if (this.problems.length < maxProblems) this.problems.push(`${this.path}: ${problem}`);
  }

  /** Refuses every field of `message` that is set and not on the list: what is not known to be harmless is not dropped silently. */
  only(schema: DescMessage, message: Message, known: ReadonlySet<string>): void {
    for (const field of schema.fields)
      if (!known.has(field.name) && isFieldSet(message, field)) this.at(field.name).fail('is not supported');
  }
}

/** A set of field names out of words. */
export const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Milliseconds, or `fallback` when it is not given. */
export function durationMs(duration: Duration | undefined, fallback: number): number {
  return duration ? Number(duration.seconds) * 1000 + duration.nanos / 1e6 : fallback;
}

/** What an extension is configured with, by the full name of its message. */
export type Extensions<T> = Readonly<Record<string, (field: Field, any: Any) => T>>;

export const messageName = (any: Any): string => any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1);

/** Decodes `typed_config`; notes a problem and returns null when the bytes are not such a message. */
export function unpack<T extends Message>(
  field: Field,
  any: Any,
  schema: DescMessage & { readonly $typeName?: never } & import('@bufbuild/protobuf/codegenv2').GenMessage<T>,
): T | null {
  try {
    return fromBinary(schema, any.value);
  } catch (error) {
    field.fail(`is not a ${schema.typeName}: ${(error as Error).message}`);
    return null;
  }
}

/** The type's compiler out of `known`, or a problem and null. */
export function dispatch<T>(field: Field, config: { case?: string; value?: unknown }, known: Extensions<T>): T | null {
  if (config.case !== 'typedConfig') {
    field.fail(config.case ? `${config.case} is not supported; give typed_config` : 'has no typed_config');
    return null;
  }
  const any = config.value as Any;
  const name = messageName(any);
  if (!Object.hasOwn(known, name)) {
    field.fail(`type ${name} is not supported`);
    return null;
  }
  return known[name](field, any);
}

/** Compiles a safe_regex; a bad one is a problem, and matches nothing. */
export function regexTest(field: Field, pattern: string): (text: string) => boolean {
  try {
    return compileRegex(pattern);
  } catch (error) {
    field.fail(`is no regular expression of RE2: ${(error as Error).message}`);
    return () => false;
  }
}
