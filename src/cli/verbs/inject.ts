import { readFile, writeFile } from 'node:fs/promises';
import { parseAllDocuments, stringify } from 'yaml';
import type { KubeClient } from '../../kube/client.ts';
import { configMaps } from '../../kube/object.ts';
import {
  type InjectionConfig,
  InjectionConfigError,
  type InjectionSources,
  parseInjectionConfig,
} from '../../webhook/config.ts';
import { InjectionError } from '../../webhook/pod.ts';
import { injectResource } from '../../webhook/resource.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { verb } from '../verb.ts';

/** What `-f -` takes at most. */
const maxInputBytes = 64 * 1024 * 1024;

export default verb({
  name: 'inject',
  summary: 'Add the proxy to the pods of a manifest',
  usage: '-f FILE [-o FILE] [--offline]',
  about:
    'Prints the manifest with the proxy in every pod that it makes; what makes no pod passes through as it is. ' +
    'Without --offline and files of configuration, the cluster is asked for its own, so that the result is what its webhook would make.',
  examples: [
    ['As this cluster would', 'lateen inject -f deployment.yaml | kubectl apply -f -'],
    ["With the installation's defaults, without a cluster", 'lateen inject --offline -f deployment.yaml'],
    ['From a pipe, into a file', 'kustomize build | lateen inject -f - -o injected.yaml'],
  ],
  flags: {
    filename: { type: 'string', short: 'f', summary: 'Manifest, - for standard input', placeholder: 'FILE' },
    output: { type: 'string', short: 'o', summary: 'Where to write the result', placeholder: 'FILE' },
    offline: { type: 'boolean', summary: 'Defaults for what no file gives; no cluster is asked' },
    meshConfigFile: { type: 'string', summary: 'MeshConfig in YAML', placeholder: 'FILE' },
    injectConfigFile: { type: 'string', summary: "The injector's configuration in YAML", placeholder: 'FILE' },
    valuesFile: { type: 'string', summary: 'Injection values in YAML or JSON', placeholder: 'FILE' },
    revision: { type: 'string', short: 'r', summary: "The control plane's revision", placeholder: 'NAME' },
    meshConfigMapName: { type: 'string', summary: 'ConfigMap with the key mesh', placeholder: 'NAME' },
    injectConfigMapName: { type: 'string', summary: 'ConfigMap with the keys values and config', placeholder: 'NAME' },
  },
  maxArgs: 0,
  async run({ flags, kube, stdin, stdout, terminal }) {
    if (!flags.filename)
      throw usageError('flag -f is required: the manifest to inject', 'lateen inject -f deployment.yaml');
    const config = await readConfig(flags, kube);
    const text = flags.filename === '-' ? await readAll(stdin) : await readText(flags.filename);
    const { output, skipped } = injectText(text, flags.filename, config);
    for (const line of skipped) terminal.warning(`skipped: ${line}`);
    if (!flags.output) stdout.write(output);
    else
      await writeFile(flags.output, output).catch((error: Error) => {
        throw new CliError(`${flags.output} cannot be written: ${error.message}`);
      });
    return exit.ok;
  },
});

interface ConfigFlags {
  offline: boolean;
  meshConfigFile: string | undefined;
  injectConfigFile: string | undefined;
  valuesFile: string | undefined;
  revision: string | undefined;
  meshConfigMapName: string | undefined;
  injectConfigMapName: string | undefined;
  istioNamespace: string;
}

async function readConfig(flags: ConfigFlags, kube: () => Promise<KubeClient>): Promise<InjectionConfig> {
  const { meshConfigFile, injectConfigFile, valuesFile, revision, istioNamespace: namespace } = flags;
  const fromFiles = [meshConfigFile, injectConfigFile, valuesFile].some((file) => file !== undefined);
  const sources: InjectionSources =
    flags.offline || fromFiles
      ? {
          mesh: meshConfigFile && (await readText(meshConfigFile)),
          config: injectConfigFile && (await readText(injectConfigFile)),
          values: valuesFile && (await readText(valuesFile)),
        }
      : await readCluster(flags, await kube());
  try {
    return parseInjectionConfig({ ...sources, namespace, revision });
  } catch (error) {
    if (error instanceof InjectionConfigError) throw new CliError(error.message, { exitCode: exit.data });
    throw error;
  }
}

async function readCluster(flags: ConfigFlags, client: KubeClient): Promise<InjectionSources> {
  const { revision, istioNamespace } = flags;
  const suffix = revision && revision !== 'default' ? `-${revision}` : '';
  try {
    const read = async (name: string) => {
      const map = await client.get(configMaps, name, istioNamespace);
      if (map) return map.data ?? {};
      throw new CliError(`ConfigMap ${istioNamespace}/${name} does not exist`, {
        hint: 'name the namespace of the control plane with -i, or inject without a cluster: --offline',
      });
    };
    const [mesh, injector] = await Promise.all([
      read(flags.meshConfigMapName ?? `istio${suffix}`),
      read(flags.injectConfigMapName ?? `istio-sidecar-injector${suffix}`),
    ]);
    return { mesh: mesh.mesh, values: injector.values, config: injector.config };
  } finally {
    client.close();
  }
}

/** Pure. Throws `CliError` that names the document. */
export function injectText(text: string, file: string, config: InjectionConfig): { output: string; skipped: string[] } {
  const parsed = parseAllDocuments(text);
  const documents = Array.isArray(parsed) ? parsed : [];
  const skipped: string[] = [];
  const parts = documents.map((document, index) => {
    const where = `${file}, document ${index + 1}`;
    const [problem] = document.errors;
    if (problem) throw new CliError(`${where}: ${problem.message}`, { exitCode: exit.data });
    try {
      const result = injectResource(document.toJS(), config);
      skipped.push(...result.skipped);
      return result.injected
        ? stringify(result.object, { lineWidth: 0, aliasDuplicateObjects: false })
        : document.toString({ lineWidth: 0 }).replace(/^---\n/, '');
    } catch (error) {
      if (error instanceof InjectionError) throw new CliError(`${where}: ${error.message}`, { exitCode: exit.data });
      throw error;
    }
  });
  return { output: parts.join('---\n'), skipped };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`, { exitCode: exit.data });
  }
}

async function readAll(stdin: AsyncIterable<Uint8Array | string>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const part = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    bytes += part.length;
    if (bytes > maxInputBytes) throw new CliError(`standard input has more than ${maxInputBytes} bytes`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}
