/**
 * Tells authors what the mesh makes of their resources, in the status of each: condition `Reconciled` where it cannot take effect as written,
 * condition `PassedAnalysis` and `validationMessages` where the analysis has something to say (istio.io: "Configuration Status Field"), and
 * both again once all is well. A resource without problems is left alone. Only the leader writes.
 */

import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import type { Condition } from '../../api/meta.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/error.ts';
import { type ApiObject, type Resource, resource } from '../../kube/object.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import { documentationUrl, type Finding, messages } from '../analyze/finding.ts';
import type { Mesh } from '../serve/mesh.ts';
import type { Problem } from '../translate/problem.ts';

const reconciled = 'Reconciled';
const passedAnalysis = 'PassedAnalysis';
/** Translations for all connected proxies come after a change; it is looked at when they are through. */
const defaultSettleMs = 1_000;
const maxMessageLength = 1_000;
const maxMessages = 50;

interface StatusObject extends ApiObject {
  status?: { conditions?: Condition[]; validationMessages?: ValidationMessage[] };
}

interface ValidationMessage {
  type: { code: string; name: string };
  level: 'ERROR' | 'WARNING' | 'INFO';
  documentationUrl?: string;
}

/** What was found of one resource. */
export interface Report {
  problems: readonly Problem[];
  findings: readonly Finding[];
}

export interface ConditionOptions {
  client: KubeClient;
  mesh: Pick<Mesh, 'isReady' | 'findProblems' | 'analyze' | 'onProblems'>;
  /** 1 s unless told. */
  settleMs?: number;
  onError(error: Error): void;
}

const resources = new Map<string, Resource<StatusObject>>(
  kinds
    .filter(({ group }) => group.endsWith('.istio.io'))
    .map((kind) => [kind.kind, resource<StatusObject>(apiVersions(kind)[0], kind.kind, kind.plural)]),
);

/** What the status of an object should say from now on, or null when what it says is right already. Pure. */
export function statusFor(
  object: StatusObject,
  { problems, findings }: Report,
  now: string,
): StatusObject['status'] | null {
  const grave = findings.filter(({ code }) => messages[code].level !== 'Info');
  const conditions = [
    conditionFor(object, reconciled, ['Accepted', 'Invalid'], problems, now),
    conditionFor(object, passedAnalysis, ['noIssuesFound', 'issuesFound'], grave, now),
  ].filter((condition) => condition !== null);
  const validationMessages = grave
    .map(
      ({ code }): ValidationMessage => ({
        type: { code, name: messages[code].name },
        level: messages[code].level.toUpperCase() as ValidationMessage['level'],
        ...(documentationUrl(code) && { documentationUrl: documentationUrl(code) }),
      }),
    )
    .sort((a, b) => (a.type.code < b.type.code ? -1 : 1))
    .slice(0, maxMessages);
  const said = object.status?.validationMessages ?? [];
  if (
    conditions.length === 0 &&
    JSON.stringify(said.map(({ type }) => type.code)) ===
      JSON.stringify(validationMessages.map(({ type }) => type.code))
  )
    return null;
  const types = conditions.map(({ type }) => type);
  const others = (object.status?.conditions ?? []).filter(({ type }) => !types.includes(type));
  return { conditions: [...others, ...conditions], validationMessages };
}

function conditionFor(
  object: StatusObject,
  type: string,
  [well, ill]: readonly [string, string],
  found: ReadonlyArray<{ readonly path: string; readonly message: string }>,
  now: string,
): Condition | null {
  const known = object.status?.conditions?.find((condition) => condition.type === type);
  const status = found.length > 0 ? 'False' : 'True';
  if (!known && status === 'True') return null;
  const message = found
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .sort()
    .join('; ')
    .slice(0, maxMessageLength);
  if (known?.status === status && known.message === message) return null;
  return {
    type,
    status,
    reason: status === 'True' ? well : ill,
    message,
    lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
    observedGeneration: object.metadata?.generation,
  };
}

const nothing: Report = { problems: [], findings: [] };

export async function writeConditions(options: ConditionOptions, signal: AbortSignal): Promise<void> {
  const { client, mesh, onError, settleMs = defaultSettleMs } = options;
  /** What was found wrong, by `Kind namespace/name`; a key stays until its object has been told that all is well. */
  const found = new Map<string, Report>();
  const queue = new WorkQueue({
    concurrency: 2,
    onError: (_, error) => onError(error),
    process: async (key) => {
      if (key === '') return look();
      const [kind, namespace, name] = key.split(' ');
      const of = resources.get(kind);
      const object = of && (await client.get(of, name, namespace));
      const report = found.get(key) ?? nothing;
      if (!object) {
        found.delete(key);
        return undefined;
      }
      const status = statusFor(object, report, new Date().toISOString());
      if (status) {
        try {
          await client.patchStatus(of, name, namespace, status);
        } catch (error) {
          // Deleted meanwhile, or its definition has no status.
          if (!isNotFound(error)) throw error;
        }
      }
      if (isEmpty(report)) found.delete(key);
      return undefined;
    },
  });

  async function look() {
    if (!mesh.isReady) return { requeueAfterMs: settleMs };
    const now = new Map<string, { problems: Problem[]; findings: Finding[] }>();
    const reportOn = (kind: string, namespace: string, name: string) => {
      const key = `${kind} ${namespace} ${name}`;
      const report = now.get(key) ?? { problems: [], findings: [] };
      now.set(key, report);
      return report;
    };
    for (const problem of await mesh.findProblems())
      reportOn(problem.kind, problem.namespace, problem.name).problems.push(problem);
    for (const finding of mesh.analyze()) {
      const { kind, metadata } = finding.resource;
      if (resources.has(kind)) reportOn(kind, metadata.namespace ?? '', metadata.name ?? '').findings.push(finding);
    }
    for (const [key, report] of now) {
      if (textOf(found.get(key)) === textOf(report)) continue;
      found.set(key, report);
      queue.add(key);
    }
    for (const [key, report] of found)
      if (!now.has(key) && !isEmpty(report)) {
        found.set(key, nothing);
        queue.add(key);
      }
    return undefined;
  }

  /** What an earlier leader left: looked at as if it had been found here. */
  async function recall() {
    for (const [kind, of] of resources) {
      const { items } = await client.list(of, { signal }).catch(() => ({ items: [] }));
      for (const { metadata, status } of items) {
        const told = status?.conditions?.find(
          ({ type, status }) => status === 'False' && (type === reconciled || type === passedAnalysis),
        );
        const { namespace = '', name = '' } = metadata ?? {};
        const problems = told ? [{ kind, namespace, name, path: '', message: told.message }] : [];
        if (told) found.set(`${kind} ${namespace} ${name}`, { problems, findings: [] });
      }
    }
  }

  await recall();
  queue.start();
  const stopListening = mesh.onProblems(() => queue.addAfter('', settleMs));
  queue.addAfter('', settleMs);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stopListening();
  await queue.stop();
}

const isEmpty = ({ problems, findings }: Report): boolean => problems.length + findings.length === 0;

/** Equal for reports that say the same. */
const textOf = (report: Report | undefined): string =>
  report === undefined
    ? ''
    : JSON.stringify([report.problems, report.findings.map(({ code, path, message }) => [code, path, message])]);
