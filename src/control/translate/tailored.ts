/** The mesh as one scope sees it: settings that a Sidecar or a Telemetry changes for its workloads stand in place of the mesh's. */
import { type AccessLogging, accessLoggingOf, type Finding, telemetryFor } from '../model/access-logging.ts';
import type { MeshSettings, Snapshot } from '../model/snapshot.ts';
import { Memo } from './memo.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';

/** The snapshot itself when nothing differs. What is kept of a mesh is kept by its settings' identity, so equal ones are the same. */
export function tailored(snapshot: Snapshot, scope: Scope, problems: Problems): Snapshot {
  const { mesh, telemetries } = snapshot;
  const telemetry = telemetryFor(telemetries, mesh.rootNamespace, scope.namespace, scope.labels);
  const mode = scope.sidecar?.spec.outboundTrafficPolicy?.mode ?? mesh.outboundTrafficPolicy.mode;
  if (telemetry === null && mode === mesh.outboundTrafficPolicy.mode) return snapshot;
  let accessLogging = mesh.accessLogging;
  if (telemetry !== null) {
    const made = loggingMemo.get(telemetry, '', [mesh], () => {
      const found: Finding[] = [];
      return { logging: accessLoggingOf(mesh, telemetry, found), found };
    });
    accessLogging = made.logging;
    for (const { path, message } of made.found) problems.add(telemetry, path, message);
  }
  const own = settingsMemo.get(accessLogging, mode ?? '', [mesh], () => ({
    ...mesh,
    accessLogging,
    outboundTrafficPolicy: { ...mesh.outboundTrafficPolicy, mode },
  }));
  return { ...snapshot, mesh: own };
}

const loggingMemo = new Memo<{ logging: AccessLogging; found: readonly Finding[] }>();
const settingsMemo = new Memo<MeshSettings>();
