/** Reads Kubernetes objects from files, folders and the standard input, and remembers on which line each field is. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isNode, LineCounter, parseAllDocuments } from 'yaml';
import { parsePath } from '../api/schema/problem.ts';
import { CliError, exit } from './exit.ts';

export interface Manifest {
  file: string;
  object: unknown;
  /** Why there is no object: the document is no YAML. */
  problem: string | null;
  /** The line, from 1, of a field in JSON notation; of its nearest parent when it is not there. */
  lineOf(path: string): number | null;
}

const maxFileBytes = 64 << 20;
const maxFiles = 10_000;
/** Far more aliases than a manifest needs, far fewer than make a small file huge. */
const maxAliasCount = 1000;
const manifestName = /\.(ya?ml|json)$/i;

/** `-` is the standard input; folders are searched for YAML and JSON files. Throws `CliError` for what cannot be read. */
export async function readManifests(
  sources: readonly string[],
  stdin: AsyncIterable<Uint8Array | string>,
): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  for (const source of sources) {
    if (source === '-') manifests.push(...parseManifests('<stdin>', await readAll(stdin)));
    else for (const file of await filesOf(source)) manifests.push(...parseManifests(file, await readText(file)));
  }
  return manifests;
}

async function readAll(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > maxFileBytes) throw tooLarge('<stdin>');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function tooLarge(file: string): CliError {
  return new CliError(`${file} is larger than ${maxFileBytes >> 20} MiB`, { exitCode: exit.data });
}

function unreadable(file: string, error: unknown): CliError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new CliError(`${file} cannot be read: ${code === 'ENOENT' ? 'there is no such file or folder' : message}`, {
    exitCode: exit.data,
  });
}

/** Throws `CliError` for what cannot be read. */
export async function readText(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > maxFileBytes) throw tooLarge(file);
    return await readFile(file, 'utf8');
  } catch (error) {
    throw error instanceof CliError ? error : unreadable(file, error);
  }
}

async function filesOf(source: string): Promise<string[]> {
  try {
    if (!(await stat(source)).isDirectory()) return [source];
    const entries = await readdir(source, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && manifestName.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    if (files.length > maxFiles)
      throw new CliError(`${source} has more than ${maxFiles} files`, { exitCode: exit.data });
    if (files.length === 0) throw new CliError(`${source} has no YAML or JSON files`, { exitCode: exit.data });
    return files;
  } catch (error) {
    throw error instanceof CliError ? error : unreadable(source, error);
  }
}

/** One entry a document; the items of a `List` each have their own. Empty documents have none. */
export function parseManifests(file: string, text: string): Manifest[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document): Manifest[] => {
    const lineAt = (offset: number | undefined) => (offset === undefined ? null : lines.linePos(offset).line);
    const failed = (problem: string, offset: number | undefined): Manifest[] => [
      { file, object: null, problem, lineOf: () => lineAt(offset) },
    ];
    const [error] = document.errors;
    if (error) return failed(error.message, error.pos[0]);
    let object: unknown;
    try {
      object = document.toJS({ maxAliasCount });
    } catch (thrown) {
      return failed(thrown instanceof Error ? thrown.message : String(thrown), document.range?.[0]);
    }
    if (object === null || object === undefined) return [];
    const at = (prefix: string) => (path: string) =>
      lineAt(offsetOf(document, parsePath([prefix, path].filter(Boolean).join('.'))));
    const items = itemsOf(object);
    if (!items) return [{ file, object, problem: null, lineOf: at('') }];
    return items.map((item, i) => ({ file, object: item, problem: null, lineOf: at(`items[${i}]`) }));
  });
}

function itemsOf(object: unknown): unknown[] | null {
  const { kind, items } = object as { kind?: unknown; items?: unknown };
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items : null;
}

/** Where the field's key is, or the nearest parent that there is. */
function offsetOf(document: Document, path: ReadonlyArray<string | number>): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => String(isNode(key) ? key.toJSON() : key) === String(last));
      if (pair && isNode(pair.key)) return pair.key.range?.[0];
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node)) return node.range?.[0];
  }
  return isNode(document.contents) ? document.contents.range?.[0] : undefined;
}
