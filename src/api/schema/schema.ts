/**
 * The words in which a kind is defined once. From a definition come its TypeScript type (`Infer`), its CRD schema
 * (`openapi.ts`) and its validator (`validator.ts`).
 */
import type { Report } from './problem.ts';

declare const inferred: unique symbol;

/** A definition of values of type `T`. */
export type Schema<T> = Node & { readonly [inferred]?: T };

/** The TypeScript type of the values that a definition accepts. */
export type Infer<S> = S extends { readonly [inferred]?: infer T } ? Exclude<T, undefined> : never;

/** A rule that a schema cannot state; it is given only values that are of the right shape. */
export type Rule<T> = (value: T, report: Report) => void;

/** A rule that the API server checks too: `rule` is its CEL form (the value is `self`), `holds` the same in TypeScript. */
export interface CelRule<T> {
  rule: string;
  message: string;
  holds(value: T): boolean;
}

interface Facts {
  description?: string;
  nullable?: boolean;
  cel?: ReadonlyArray<CelRule<never>>;
  rules?: ReadonlyArray<Rule<never>>;
}

export type Node = Facts &
  (
    | { type: 'string'; format?: string; minLength?: number; maxLength?: number; pattern?: string }
    | { type: 'enum'; values: readonly string[] }
    | { type: 'boolean' }
    | { type: 'integer' | 'number'; format?: string; minimum?: number; maximum?: number }
    | { type: 'intOrString' }
    | { type: 'anything' }
    | { type: 'array'; items: Node; minItems?: number; maxItems?: number; listMapKeys?: readonly string[] }
    | { type: 'map'; values: Node; minProperties?: number; maxProperties?: number }
    | {
        type: 'object';
        fields: Readonly<Record<string, Node & { readonly isRequired?: true }>>;
        oneOf?: ReadonlyArray<readonly string[]>;
        /** Fields that are not listed are kept: `keep` says nothing about them, `warn` warns of each. */
        unlisted?: 'keep' | 'warn';
      }
  );

interface Options<T> {
  description?: string;
  cel?: ReadonlyArray<CelRule<T>>;
  rules?: ReadonlyArray<Rule<T>>;
}

export function string(
  options: Options<string> & { format?: string; minLength?: number; maxLength?: number; pattern?: string } = {},
): Schema<string> {
  return { type: 'string', ...options };
}

export function enumOf<const V extends string>(values: readonly V[], options: Options<V> = {}): Schema<V> {
  return { type: 'enum', values, ...options };
}

export function boolean(options: Options<boolean> = {}): Schema<boolean> {
  return { type: 'boolean', ...options };
}

export function integer(
  options: Options<number> & { format?: string; minimum?: number; maximum?: number } = {},
): Schema<number> {
  return { type: 'integer', ...options };
}

export function int32(options: Options<number> & { minimum?: number; maximum?: number } = {}): Schema<number> {
  return { type: 'integer', format: 'int32', ...options };
}

/** protobuf's `uint32`, with the limits that the API server is told. */
export function uint32(options: Options<number> & { minimum?: number; maximum?: number } = {}): Schema<number> {
  return { type: 'integer', minimum: 0, maximum: 4_294_967_295, ...options };
}

export function double(options: Options<number> & { minimum?: number; maximum?: number } = {}): Schema<number> {
  return { type: 'number', format: 'double', ...options };
}

/** Kubernetes' `IntOrString`: a port's number or name, a count or a percentage. */
export function intOrString(options: Options<number | string> = {}): Schema<number | string> {
  return { type: 'intOrString', ...options };
}

/** Any JSON, kept as it is: what another program's schema describes. */
export function anything<T = unknown>(options: Options<T> = {}): Schema<T> {
  return { type: 'anything', ...options };
}

/** An object of any shape. */
export function anyObject(): Schema<Record<string, unknown>> {
  return { type: 'object', fields: {}, unlisted: 'keep' };
}

export function array<T>(
  items: Schema<T>,
  options: Options<T[]> & { minItems?: number; maxItems?: number; listMapKeys?: readonly string[] } = {},
): Schema<T[]> {
  return { type: 'array', items, ...options };
}

/** An object whose keys are data: labels, header names. */
export function map<T>(
  values: Schema<T>,
  options: Options<Record<string, T>> & { minProperties?: number; maxProperties?: number } = {},
): Schema<Record<string, T>> {
  return { type: 'map', values, ...options };
}

type Fields = Readonly<Record<string, Node>>;
type RequiredKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends { readonly isRequired: true } ? K : never;
}[keyof F];
type Flat<T> = { [K in keyof T]: T[K] };
type ObjectOf<F extends Fields> = Flat<
  { [K in RequiredKeys<F>]: Infer<F[K]> } & { [K in Exclude<keyof F, RequiredKeys<F>>]?: Infer<F[K]> }
>;

/** An object with known fields, each optional unless it is `required(…)`. Of each `oneOf` group at most one field is set. */
export function object<F extends Fields>(
  fields: F,
  options: Options<ObjectOf<F>> & {
    oneOf?: ReadonlyArray<ReadonlyArray<keyof F & string>>;
    unlisted?: 'keep' | 'warn';
  } = {},
): Schema<ObjectOf<F>> {
  return { type: 'object', fields, ...options } as Schema<ObjectOf<F>>;
}

/** Marks a field that must be there. */
export function required<S extends Node>(schema: S): S & { readonly isRequired: true } {
  return { ...schema, isRequired: true };
}

/** Lets `null` stand for "not set". */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return { ...schema, nullable: true } as Schema<T | null>;
}

/** The same definition with more rules. */
export function ruled<T>(schema: Schema<T>, ...rules: Rule<T>[]): Schema<T> {
  return { ...schema, rules: [...(schema.rules ?? []), ...rules] } as Schema<T>;
}
