/** The one entrance to validation: the admission webhook, `lateen validate` and the control plane call it. */
import { nearestWord } from '../lib/nearest-word.ts';
import { apiVersions, type Kind } from './kind.ts';
import { kinds } from './kinds.ts';
import type { KubeObject } from './meta.ts';
import { checkMetadata } from './metadata-rules.ts';
import { Findings } from './schema/findings.ts';
import { withoutNulls } from './schema/nulls.ts';
import { type Problem, show, type Validation } from './schema/problem.ts';
import type { Rule } from './schema/schema.ts';
import { type Check, validatorOf } from './schema/validator.ts';

export type { Problem, ProblemCode, Validation } from './schema/problem.ts';

const groups: ReadonlySet<string> = new Set(kinds.map(({ group }) => group));

interface Checks {
  kind: Kind;
  spec: Check;
  status: Check;
  rules: ReadonlyArray<Rule<KubeObject>>;
}

const byKind = new Map<string, Checks>(
  kinds.map((kind) => [
    kind.kind,
    {
      kind,
      spec: validatorOf(kind.spec),
      status: validatorOf(kind.status),
      rules: kind.rules as ReadonlyArray<Rule<KubeObject>>,
    },
  ]),
);

const rootFields = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];

/** Whether `validate` knows the shape of objects of this kind. */
export function isChecked(object: unknown): boolean {
  const { apiVersion, kind } = (object ?? {}) as { apiVersion?: unknown; kind?: unknown };
  const checks = typeof kind === 'string' ? byKind.get(kind) : undefined;
  return checks !== undefined && typeof apiVersion === 'string' && apiVersions(checks.kind).includes(apiVersion);
}

/**
 * Checks any object. One of a kind that is not ours is acceptable, whatever it holds; one of our groups whose kind or
 * version does not exist is not. Never throws.
 */
export function validate(given: unknown): Validation {
  const findings = new Findings();
  const object = withoutNulls(given);
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    findings.error([], 'must be an object with apiVersion, kind, metadata and spec', 'type');
    return findings.result();
  }
  const { apiVersion, kind, metadata, spec, status } = object as Record<string, unknown>;
  for (const [name, value] of Object.entries({ apiVersion, kind }))
    if (value === undefined || value === '') findings.error([name], 'is required', 'required');
    else if (typeof value !== 'string') findings.error([name], `must be a string, is ${show(value)}`, 'type');
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || apiVersion === '' || kind === '')
    return findings.result();

  const checks = checksOf(apiVersion, kind, findings);
  if (!checks) return findings.result();

  for (const name of Object.keys(object))
    if (!rootFields.includes(name)) {
      const near = nearestWord(name, rootFields);
      findings.error([name], `is not a known field${near ? `; did you mean "${near}"?` : ''}`, 'unknownField');
    }
  const hasMetadata = checkMetadata(checks.kind, metadata, findings);

  let sound = false;
  if (spec === undefined && checks.kind.specIsRequired) findings.error(['spec'], 'is required', 'required');
  else {
    findings.enter('spec');
    sound = checks.spec(spec ?? {}, findings);
    findings.leave();
  }
  if (status !== undefined) {
    findings.enter('status');
    checks.status(status, findings);
    findings.leave();
  }
  if (sound && hasMetadata) {
    const whole = { ...object, spec: spec ?? {} } as KubeObject;
    for (const rule of checks.rules) rule(whole, findings);
  }
  return findings.result();
}

function checksOf(apiVersion: string, kind: string, findings: Findings): Checks | null {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const checks = byKind.get(kind);
  if (checks && checks.kind.group === group) {
    const served = apiVersions(checks.kind);
    if (served.includes(apiVersion)) return checks;
    findings.error(
      ['apiVersion'],
      `must be one of ${served.join(', ')} for a ${kind}, is ${show(apiVersion)}`,
      'unknownKind',
    );
    return null;
  }
  if (!groups.has(group)) return null;
  if (checks) {
    findings.error(
      ['apiVersion'],
      `must be ${apiVersions(checks.kind)[0]} for a ${kind}, is ${show(apiVersion)}`,
      'unknownKind',
    );
    return null;
  }
  const near = nearestWord(
    kind,
    kinds.filter((known) => known.group === group).map((known) => known.kind),
  );
  findings.error(
    ['kind'],
    `${show(kind)} is not a kind of ${group}${near ? `; did you mean "${near}"?` : ''}`,
    'unknownKind',
  );
  return null;
}

/** `VirtualService shop/cart`: how messages name an object. */
export function describeObject(object: unknown): string {
  const { kind, metadata } = (object ?? {}) as { kind?: unknown; metadata?: { name?: unknown; namespace?: unknown } };
  const { name, namespace } = metadata ?? {};
  const id = [namespace, name].filter((part) => typeof part === 'string' && part !== '').join('/');
  return [typeof kind === 'string' && kind !== '' ? kind : 'object', id].filter(Boolean).join(' ');
}

/** `VirtualService shop/cart: spec.http[2].route[0].destination.host: is required`. */
export function describeProblem(object: unknown, { path, message }: Problem): string {
  return [describeObject(object), path, message].filter((part) => part !== '').join(': ');
}
