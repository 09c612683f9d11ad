import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A file of Istio's own, where a folder of them is at hand: `LATEEN_REFERENCE`, or `../shared/reference` beside the
 * checkout. Null when there is none, and then a test runs with the project's own manifests only.
 * @param path for example `istio/bookinfo/bookinfo.yaml`
 */
export function reference(path: string): string | null {
  const folder = process.env.LATEEN_REFERENCE ?? join(import.meta.dirname, '../../../shared/reference');
  const file = join(folder, path);
  return existsSync(file) ? file : null;
}
