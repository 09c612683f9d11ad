/** The mesh's objects from a folder of YAML, for use without Kubernetes. */
import { watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { describeProblem, validate } from '../../api/validate.ts';
import { type ApiObject, type ConfigMap, keyOf } from '../../kube/object.ts';
import type { ChangeScope, ObjectSource } from './source.ts';
import { isStored, MeshStore, type StoreOptions } from './store.ts';

export interface FileSourceOptions extends StoreOptions {
  /** Every `.yaml`, `.yml` and `.json` in it is read, subfolders too. */
  folder: string;
  /** Name of the ConfigMap whose key `mesh` is the mesh's configuration; `istio` unless told. */
  meshConfigMap?: string;
  onError(error: Error): void;
  /** How long a burst of file events is waited out; 50 ms unless told. */
  settleMs?: number;
}

const maxFiles = 10_000;
const maxFileBytes = 16 << 20;

export class FileSource implements ObjectSource {
  readonly #options: FileSourceOptions;
  readonly #store: MeshStore;
  /** By file what it held when it could last be read. */
  readonly #held = new Map<string, ApiObject[]>();
  #problems = new Map<string, string>();

  constructor(options: FileSourceOptions) {
    this.#options = options;
    this.#store = new MeshStore(options);
  }

  get problems(): string[] {
    return [...this.#problems.values(), ...this.#store.problems];
  }

  read() {
    return this.#store.read();
  }

  async start(onChange: (scope: ChangeScope) => void, signal: AbortSignal): Promise<void> {
    const { folder, settleMs = 50, onError } = this.#options;
    let isReading = false;
    let isAgain = false;
    const reread = async () => {
      isAgain = true;
      if (isReading) return;
      isReading = true;
      while (isAgain && !signal.aborted) {
        isAgain = false;
        await setTimeout(settleMs);
        const scope = await this.#readAll().catch((error: Error) => {
          onError(error);
          return null;
        });
        if (scope && !signal.aborted) onChange(scope);
      }
      isReading = false;
    };
    // Watched before it is read: what changes in between is read twice rather than missed.
    const watcher = watch(folder, { recursive: true, signal }, () => void reread());
    watcher.on('error', onError);
    const scope = await this.#readAll();
    if (scope) onChange(scope);
  }

  async #readAll(): Promise<ChangeScope | null> {
    const { folder } = this.#options;
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
    if (names.length > maxFiles) throw new Error(`${folder}: more than ${maxFiles} files; name a folder with less`);
    const problems = new Map<string, string>();
    for (const name of [...this.#held.keys()]) if (!names.includes(name)) this.#held.delete(name);
    for (const name of names) {
      try {
        const path = join(folder, name);
        if ((await stat(path)).size > maxFileBytes) throw new Error(`larger than ${maxFileBytes} bytes`);
        this.#held.set(name, readObjects(await readFile(path, 'utf8')));
      } catch (error) {
        // Half written, or wrong: the last good content of this file stays.
        problems.set(name, `${name}: ${(error as Error).message}`);
      }
    }
    this.#problems = problems;
    return this.#takeOver();
  }

  #takeOver(): ChangeScope | null {
    const { meshConfigMap = 'istio' } = this.#options;
    const seen = new Map<string, ApiObject>();
    let meshText: string | null = null;
    for (const object of [...this.#held.values()].flat()) {
      if (object.kind === 'ConfigMap' && object.metadata?.name === meshConfigMap)
        meshText = (object as ConfigMap).data?.mesh ?? null;
      if (isStored(object)) seen.set(`${object.kind} ${keyOf(object)}`, object);
    }
    const scopes = new Set<ChangeScope | null>([this.#store.putMeshConfig(meshText, `ConfigMap ${meshConfigMap}`)]);
    for (const [id, object] of seen) {
      scopes.add(this.#store.put(object));
      this.#known.delete(id);
    }
    for (const [id, { kind, key }] of this.#known) if (!seen.has(id)) scopes.add(this.#store.remove(kind, key));
    this.#known = new Map(Array.from(seen, ([id, object]) => [id, { kind: object.kind, key: keyOf(object) }]));
    return scopes.has('configuration') ? 'configuration' : scopes.has('endpoints') ? 'endpoints' : null;
  }

  #known = new Map<string, { kind: string; key: string }>();
}

/** Every object of a text of YAML documents; lists are opened. Throws an error that names the document. */
function readObjects(text: string): ApiObject[] {
  const objects: ApiObject[] = [];
  for (const [at, document] of parseAllDocuments(text).entries()) {
    if (document.errors.length > 0) throw new Error(`document ${at + 1}: ${document.errors[0].message}`);
    const value = document.toJS({ maxAliasCount: 1000 }) as ApiObject & { items?: ApiObject[] };
    if (value === null || value === undefined) continue;
    for (const object of value.kind === 'List' ? (value.items ?? []) : [value]) {
      if (typeof object !== 'object' || object === null || Array.isArray(object))
        throw new Error(`document ${at + 1}: not an object`);
      const { errors } = validate(object);
      if (errors.length > 0) throw new Error(`document ${at + 1}: ${describeProblem(object, errors[0])}`);
      object.metadata ??= {};
      objects.push(withNamespace(object));
    }
  }
  return objects;
}

const clusterScoped = new Set(['Namespace', 'Node']);

function withNamespace(object: ApiObject): ApiObject {
  if (clusterScoped.has(object.kind)) return object;
  return { ...object, metadata: { ...object.metadata, namespace: object.metadata?.namespace ?? 'default' } };
}
