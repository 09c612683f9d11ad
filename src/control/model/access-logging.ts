/** Which access logs a workload keeps: the mesh's, unless a Telemetry says otherwise (istio.io/latest/docs/reference/config/telemetry/#AccessLogging). */
import type { Telemetry } from '../../api/istio/telemetry.ts';
import type { ResolvedMeshConfig } from '../../api/mesh-config.ts';
import { type Labels, matchesLabels } from './selector.ts';

export interface AccessLog {
  readonly path: string;
  readonly encoding: 'TEXT' | 'JSON';
  /** Of text, or of JSON as text; '' for Istio's. */
  readonly format: string;
  /** A JSON object of formats; null when `format` counts. */
  readonly labels: Readonly<Record<string, unknown>> | null;
  /** Only responses with such a status; null for all. */
  readonly status: { readonly operation: 'EQ' | 'GE' | 'LE'; readonly code: number } | null;
}

export interface AccessLogging {
  readonly client: readonly AccessLog[];
  readonly server: readonly AccessLog[];
}

export interface Finding {
  readonly telemetry: Telemetry;
  readonly path: string;
  readonly message: string;
}

/** The mesh's own. */
export function meshAccessLogging(mesh: ResolvedMeshConfig): AccessLogging {
  const named = mesh.defaultProviders?.accessLogging ?? [];
  const logs = named.flatMap((name) => provided(mesh, name) ?? []);
  if (mesh.accessLogFile && !named.includes('envoy')) logs.push(fileOf(mesh));
  return { client: logs, server: logs };
}

const fileOf = ({ accessLogFile, accessLogEncoding, accessLogFormat }: ResolvedMeshConfig): AccessLog => ({
  path: accessLogFile || '/dev/stdout',
  encoding: accessLogEncoding,
  format: accessLogFormat,
  labels: null,
  status: null,
});

interface FileProvider {
  path?: string;
  logFormat?: { text?: string; labels?: Record<string, unknown> };
}

/** Null for a name that the mesh configuration does not give, or that is no file. */
function provided(mesh: ResolvedMeshConfig, name: string): AccessLog | null {
  const own = mesh.extensionProviders?.find((provider) => provider.name === name) as
    | { envoyFileAccessLog?: FileProvider }
    | undefined;
  if (own === undefined) return name === 'envoy' ? fileOf(mesh) : null;
  const file = own.envoyFileAccessLog;
  if (!file) return null;
  const { text = '', labels } = file.logFormat ?? {};
  return {
    path: file.path || '/dev/stdout',
    encoding: labels ? 'JSON' : 'TEXT',
    format: text,
    labels: labels ?? null,
    status: null,
  };
}

/** The most specific Telemetry with access logs: for the workload, its namespace, or the root namespace. */
export function telemetryFor(
  telemetries: readonly Telemetry[],
  rootNamespace: string,
  namespace: string,
  labels: Labels,
): Telemetry | null {
  const logging = telemetries.filter(
    ({ spec }) => (spec.accessLogging?.length ?? 0) > 0 && !spec.targetRef && !spec.targetRefs?.length,
  );
  const selector = ({ spec }: Telemetry): Labels => spec.selector?.matchLabels ?? {};
  const isForAll = (telemetry: Telemetry) => Object.keys(selector(telemetry)).length === 0;
  const own = logging.filter(({ metadata }) => metadata.namespace === namespace);
  return (
    own.find((telemetry) => !isForAll(telemetry) && matchesLabels(selector(telemetry), labels)) ??
    own.find(isForAll) ??
    logging.find((telemetry) => telemetry.metadata.namespace === rootNamespace && isForAll(telemetry)) ??
    null
  );
}

const comparison = /^\s*response\.code\s*(==|>=|<=|>|<)\s*(\d{3})\s*$/;

export function accessLoggingOf(mesh: ResolvedMeshConfig, telemetry: Telemetry, found: Finding[]): AccessLogging {
  const known = meshAccessLogging(mesh);
  const logs = { client: [...known.client], server: [...known.server] };
  for (const [i, entry] of (telemetry.spec.accessLogging ?? []).entries()) {
    const at = `spec.accessLogging[${i}]`;
    const tell = (path: string, message: string) => found.push({ telemetry, path: `${at}${path}`, message });
    const mode = entry.match?.mode ?? 'CLIENT_AND_SERVER';
    const sides =
      mode === 'CLIENT'
        ? (['client'] as const)
        : mode === 'SERVER'
          ? (['server'] as const)
          : (['client', 'server'] as const);
    if (entry.disabled) {
      for (const side of sides) logs[side] = [];
      continue;
    }
    const expression = entry.filter?.expression ?? '';
    const status = statusOf(expression);
    if (expression !== '' && status === null)
      tell('.filter.expression', 'is not used: the proxy compares response.code alone; every request is logged');
    const named = entry.providers?.flatMap(({ name }, j) => {
      const log = provided(mesh, name);
      if (log === null)
        tell(`.providers[${j}].name`, `is not used: the mesh configuration has no file provider "${name}"`);
      return log ?? [];
    });
    for (const side of sides)
      logs[side] = (named ?? known[side]).map((log) => ({ ...log, status: status ?? log.status }));
  }
  return logs;
}

function statusOf(expression: string): AccessLog['status'] {
  const [, operator, digits] = comparison.exec(expression) ?? [];
  const code = Number(digits);
  switch (operator) {
    case '==':
      return { operation: 'EQ', code };
    case '>=':
      return { operation: 'GE', code };
    case '<=':
      return { operation: 'LE', code };
    case '>':
      return { operation: 'GE', code: code + 1 };
    case '<':
      return { operation: 'LE', code: code - 1 };
    default:
      return null;
  }
}
