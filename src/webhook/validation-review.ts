/** Answers the validating webhook: a resource of Istio's API or of ours on its way in. */
import { type Problem, validate } from '../api/validate.ts';
import type { WebhookCounters } from './counters.ts';
import type { WebhookLog } from './log.ts';
import type { AdmissionRequest, AdmissionResponse } from './review.ts';

/** The API server cuts warnings after 256 characters each and 4,096 together (Kubernetes: "Dynamic Admission Control"). */
const maxWarnings = 16;
const maxWarningLength = 256;
const maxErrors = 10;

/** What the mesh would make of a resource that is acceptable in itself, in sentences; it keeps nothing out. */
export type Advise = (object: unknown, dryRun: boolean) => readonly string[];

/** Never throws. */
export function reviewValidation(
  request: AdmissionRequest,
  counters: WebhookCounters,
  log: WebhookLog,
  advise: Advise = () => [],
): AdmissionResponse {
  const { uid, kind, operation, namespace } = request;
  const labels = { group: kind.group, version: kind.version, resource: kind.kind };
  if (operation === 'DELETE' || request.object === null) return { uid, allowed: true };
  try {
    const { errors, warnings } = validate(request.object);
    const advice = errors.length === 0 ? adviceOf(request, advise, log) : [];
    const shown = [...warnings.map(sentence), ...advice]
      .slice(0, maxWarnings)
      .map((warning) => warning.slice(0, maxWarningLength));
    const response = shown.length > 0 ? { uid, warnings: shown } : { uid };
    if (errors.length === 0) {
      counters.count('galley_validation_passed', labels);
      return { ...response, allowed: true };
    }
    counters.count('galley_validation_failed', { ...labels, reason: errors[0].code });
    const name = [namespace, nameOf(request)].filter((part) => part !== '').join('/');
    const more = errors.length > maxErrors ? `; and ${errors.length - maxErrors} more` : '';
    const message = `${kind.kind} ${name}: ${errors.slice(0, maxErrors).map(sentence).join('; ')}${more}`;
    log.info({ kind: kind.kind, name, errors: errors.length }, 'refused');
    return { ...response, allowed: false, status: { code: 400, message, reason: 'Invalid' } };
  } catch (error) {
    counters.count('galley_validation_failed', { ...labels, reason: 'internal' });
    log.error({ error: String((error as Error).stack) }, 'validation failed');
    const message = `the validator failed: ${(error as Error).message}`;
    return { uid, allowed: false, status: { code: 500, message } };
  }
}

/** Advice that cannot be had must not keep a resource out. */
function adviceOf({ object, namespace, dryRun }: AdmissionRequest, advise: Advise, log: WebhookLog): readonly string[] {
  try {
    const { metadata, ...rest } = object as { metadata?: object };
    return advise({ ...rest, metadata: { namespace: namespace || undefined, ...metadata } }, dryRun);
  } catch (error) {
    log.error({ error: String((error as Error).stack) }, 'analysis failed');
    return [];
  }
}

function sentence({ path, message }: Problem): string {
  return path === '' ? message : `${path} ${message}`;
}

function nameOf({ name, object }: AdmissionRequest): string {
  const metadata = (object as { metadata?: { name?: unknown; generateName?: unknown } } | null)?.metadata;
  return name || String(metadata?.name ?? metadata?.generateName ?? '');
}
