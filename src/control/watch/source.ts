/** Where the mesh's objects come from: a Kubernetes API server, or a folder of YAML. */
import type { MeshObjects } from '../model/objects.ts';

/** `endpoints` changes touch only where traffic goes, never how: they are brought out without waiting. */
export type ChangeScope = 'endpoints' | 'configuration';

export interface ObjectSource {
  /** Starts watching; resolves when everything that is there has been seen. */
  start(onChange: (scope: ChangeScope) => void, signal: AbortSignal): Promise<void>;
  /** Everything as it is now. */
  read(): MeshObjects;
  /** What cannot be read or reached at the moment, for people. */
  readonly problems: readonly string[];
}
