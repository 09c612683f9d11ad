/**
 * Tells authors what the mesh makes of their resources, in the status of each: condition `Reconciled` where it cannot take effect as written,
 * or where proxies do not run it ("118/120 proxies up to date"), condition `PassedAnalysis` and `validationMessages` where the analysis has something to say (istio.io: "Configuration Status Field"), and
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
import type { Discovery } from '../serve/discovery.ts';
import type { Mesh } from '../serve/mesh.ts';
import type { Problem } from '../translate/problem.ts';
import { type ObjectChanges, type Progress, progressMessage, progressOf, tellsProgress } from './distribution.ts';

const reconciled = 'Reconciled';
const passedAnalysis = 'PassedAnalysis';
/** Translations for all connected proxies come after a change; it is looked at when they are through. */
const defaultSettleMs = 1_000;
/** Answers take a round trip and the time to compile; who takes longer is late. */
const defaultPatienceMs = 10_000;
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
  /** Null unless some proxy does not run it, or has not until now. */
  progress: Progress | null;
}

/** The proxies of this replica, and since when each object is as it is. */
export interface Proxies {
  discovery: Pick<Discovery, 'laggards' | 'connectionCount' | 'onProgress'>;
  changes: ObjectChanges;
  /** This replica's name where others run beside it: only its own proxies are known here. Null where it is the only one. */
  replica(): string | null;
  /** 10 s unless told. */
  patienceMs?: number;
}

export interface ConditionOptions {
  client: KubeClient;
  mesh: Pick<Mesh, 'isReady' | 'findProblems' | 'analyze' | 'onProblems' | 'snapshot'>;
  proxies: Proxies;
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
  { problems, findings, progress }: Report,
  now: string,
  replica: string | null = null,
): StatusObject['status'] | null {
  const grave = findings.filter(({ code }) => messages[code].level !== 'Info');
  const conditions = [
    conditionFor(object, reconciled, reconciledSays(problems, progress, replica), now),
    conditionFor(
      object,
      passedAnalysis,
      {
        isWell: grave.length === 0,
        reason: grave.length === 0 ? 'noIssuesFound' : 'issuesFound',
        lines: linesOf(grave),
      },
      now,
    ),
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

interface Saying {
  isWell: boolean;
  reason: string;
  lines: readonly string[];
}

const linesOf = (found: ReadonlyArray<{ readonly path: string; readonly message: string }>): string[] =>
  found.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).sort();

/** One condition for two things that may both be wrong: what the mesh cannot do with it, and who does not run it. */
function reconciledSays(problems: readonly Problem[], progress: Progress | null, replica: string | null): Saying {
  const behind = progress?.behind ?? 0;
  const lines = [...linesOf(problems), ...(progress ? [progressMessage(progress, replica)] : [])];
  const isWell = problems.length === 0 && behind === 0;
  if (isWell) return { isWell, reason: 'Accepted', lines };
  return { isWell, reason: problems.length > 0 ? 'Invalid' : progress?.refused.length ? 'Refused' : 'Pending', lines };
}

function conditionFor(
  object: StatusObject,
  type: string,
  { isWell, reason, lines }: Saying,
  now: string,
): Condition | null {
  const known = object.status?.conditions?.find((condition) => condition.type === type);
  const status = isWell ? 'True' : 'False';
  // Nobody who is told so already needs to hear of it again.
  if (isWell && known?.status !== 'False') return null;
  const message = lines.join('; ').slice(0, maxMessageLength);
  if (known?.status === status && known.message === message) return null;
  return {
    type,
    status,
    reason,
    message,
    lastTransitionTime: known?.status === status ? known.lastTransitionTime : now,
    observedGeneration: object.metadata?.generation,
  };
}

const nothing: Report = { problems: [], findings: [], progress: null };

export async function writeConditions(options: ConditionOptions, signal: AbortSignal): Promise<void> {
  const { client, mesh, proxies, onError, settleMs = defaultSettleMs } = options;
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
      const status = statusFor(object, report, new Date().toISOString(), proxies.replica());
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
    const now = new Map<string, { problems: Problem[]; findings: Finding[]; progress: Progress | null }>();
    const reportOn = (kind: string, namespace: string, name: string) => {
      const key = `${kind} ${namespace} ${name}`;
      const report = now.get(key) ?? { problems: [], findings: [], progress: null };
      now.set(key, report);
      return report;
    };
    for (const problem of await mesh.findProblems())
      reportOn(problem.kind, problem.namespace, problem.name).problems.push(problem);
    for (const finding of mesh.analyze()) {
      const { kind, metadata } = finding.resource;
      if (resources.has(kind)) reportOn(kind, metadata.namespace ?? '', metadata.name ?? '').findings.push(finding);
    }
    const isAwaited = tellProgress((key) => reportOn(...(key.split(' ') as [string, string, string])));
    for (const [key, report] of now) {
      if (textOf(found.get(key)) === textOf(report)) continue;
      found.set(key, report);
      queue.add(key);
    }
    for (const [key, report] of found)
      if (!now.has(key) && !isEmpty(report)) {
        found.set(key, { ...nothing, progress: report.progress && allUpToDate() });
        queue.add(key);
      }
    return isAwaited ? { requeueAfterMs: settleMs } : undefined;
  }

  const allUpToDate = (): Progress => ({
    ...{ total: proxies.discovery.connectionCount, behind: 0, refused: [], isFresh: false },
  });

  /** True while there is somebody whose answer is waited for. */
  function tellProgress(reportOn: (key: string) => { progress: Progress | null }): boolean {
    const { discovery, changes, patienceMs = defaultPatienceMs } = proxies;
    const { laggards, connectionCount: total } = discovery;
    const rootNamespace = mesh.snapshot?.mesh.rootNamespace ?? '';
    const nowMs = performance.now();
    const behind = progressOf({ changes: changes.all, laggards, total, rootNamespace, nowMs, patienceMs });
    for (const [key, progress] of behind) {
      const told = found.get(key)?.progress ?? null;
      if (!progress.isFresh) reportOn(key).progress = progress;
      else if (told && told.behind > 0) reportOn(key).progress = told;
    }
    return [...behind.values()].some(({ refused, behind: all }) => refused.length < all);
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
        if (!told) continue;
        const problems = [{ kind, namespace, name, path: '', message: told.message }];
        const progress = tellsProgress(told.message) ? { ...allUpToDate(), behind: 1 } : null;
        found.set(`${kind} ${namespace} ${name}`, { problems, findings: [], progress });
      }
    }
  }

  await recall();
  queue.start();
  const lookSoon = () => queue.addAfter('', settleMs);
  const listening = [mesh.onProblems(lookSoon), proxies.discovery.onProgress(lookSoon)];
  queue.addAfter('', settleMs);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  for (const stop of listening) stop();
  await queue.stop();
}

const isEmpty = ({ problems, findings, progress }: Report): boolean =>
  problems.length + findings.length + (progress?.behind ?? 0) === 0;

/** Equal for reports that say the same. */
const textOf = (report: Report | undefined): string =>
  report === undefined
    ? ''
    : JSON.stringify([
        report.problems,
        report.findings.map(({ code, path, message }) => [code, path, message]),
        report.progress,
      ]);
