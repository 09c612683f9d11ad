import { availableParallelism } from 'node:os';
import type { SecretStore } from '../config/secret-store.ts';
import type { Table } from '../config/table.ts';
import type { Log } from '../telemetry/log.ts';
import type { DataPlane, PlaneSettings } from './data-plane.ts';
import { OneThread } from './one-thread.ts';

/**
 * `concurrency` is the number of threads that serve, 0 one for each core (Envoy and Istio: concurrency). With one everything
 * runs on the calling thread. Rejects when a listener of the table cannot be bound.
 */
export async function openPlane(
  concurrency: number,
  settings: PlaneSettings,
  table: Table,
  secrets: SecretStore,
  log: Log,
): Promise<DataPlane> {
  const threads = concurrency === 0 ? availableParallelism() : concurrency;
  if (threads === 1) return OneThread.open(settings, table, secrets);
  const { Workers } = await import('./workers.ts');
  return Workers.open(settings, table, secrets, threads, log);
}
