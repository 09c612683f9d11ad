import { readFileSync } from 'node:fs';
import { cluster } from './cluster.ts';

/** The parts of an object of the API that tests read; ask for more by giving the type. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    uid: string;
    resourceVersion: string;
    generation?: number;
    creationTimestamp: string;
    deletionTimestamp?: string;
    finalizers?: string[];
  };
}

function scope(namespace?: string): string[] {
  return namespace ? ['-n', namespace] : [];
}

/**
 * `kubectl apply`: of YAML text, of objects, or of a file's path (anything without a line break that ends in .yaml).
 * Returns what kubectl says; throws with the server's answer when something is refused.
 */
export function apply(what: string | object, options: { namespace?: string; dryRun?: 'server' } = {}): Promise<string> {
  const dryRun = options.dryRun ? [`--dry-run=${options.dryRun}`] : [];
  return cluster.kubectl([...scope(options.namespace), 'apply', ...dryRun, '-f', '-'], { input: manifest(what) });
}

/** `kubectl delete` of the same, which waits until all is gone; what is not there is no error. */
export function remove(what: string | object, options: { namespace?: string } = {}): Promise<string> {
  const args = [...scope(options.namespace), 'delete', '--ignore-not-found', '--timeout=120s', '-f', '-'];
  return cluster.kubectl(args, { input: manifest(what), timeoutMs: 150_000 });
}

function manifest(what: string | object): string {
  if (typeof what !== 'string')
    return JSON.stringify(Array.isArray(what) ? { apiVersion: 'v1', kind: 'List', items: what } : what);
  return !what.includes('\n') && what.endsWith('.yaml') ? readFileSync(what, 'utf8') : what;
}

/** One object, or null when there is none. */
export async function get<T extends ApiObject = ApiObject>(
  kind: string,
  name: string,
  namespace?: string,
): Promise<T | null> {
  const text = await cluster.kubectl([...scope(namespace), 'get', kind, name, '--ignore-not-found', '-o', 'json']);
  return text ? JSON.parse(text) : null;
}

/** Objects of a kind in a namespace, or in all of them, by label selector. */
export async function list<T extends ApiObject = ApiObject>(
  kind: string,
  options: { namespace?: string; selector?: string } = {},
): Promise<T[]> {
  const where = options.namespace ? scope(options.namespace) : ['-A'];
  const selector = options.selector ? ['-l', options.selector] : [];
  return JSON.parse(await cluster.kubectl([...where, 'get', kind, ...selector, '-o', 'json'])).items;
}
