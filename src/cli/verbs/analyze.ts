import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import { type AnalysisOptions, analyze, analyzers } from '../../control/analyze/analyze.ts';
import {
  type Analyzed,
  documentationUrl,
  type Finding,
  type Level,
  messages,
  nameOf,
} from '../../control/analyze/finding.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/error.ts';
import {
  type ApiObject,
  deployments,
  namespaces,
  pods,
  type Resource,
  resource,
  secrets,
  services,
} from '../../kube/object.ts';
import { placed } from '../analyzed.ts';
import { CliError, exit, usageError } from '../exit.ts';
import { type Manifest, readManifests } from '../manifests.ts';
import { render } from '../output.ts';
import { formatTable } from '../table.ts';
import type { Style, Terminal } from '../terminal.ts';
import { verb } from '../verb.ts';

const levels: readonly Level[] = ['Info', 'Warning', 'Error'];
/** istioctl's, for findings at or above the failure threshold. */
const foundExitCode = 79;

export default verb({
  name: 'analyze',
  summary: 'Find mistakes in the configuration of a mesh, in a cluster or in files',
  usage: '[FILE|FOLDER …] [-n NAMESPACE | -A] [--use-kube=false] [-o log|json|yaml]',
  about:
    "The cluster's resources and the files' are looked at together, as if the files had been applied. Each finding has a code, a level, the\n" +
    'resource, the field and, from a file, the line. Exits with 79 when a finding is as grave as --failure-threshold.\n' +
    'A resource with the annotation galley.istio.io/analyze-suppress=CODE, or =*, is spared.',
  examples: [
    ['Look at the namespace of the current context', 'lateen analyze'],
    ['Before applying a file', 'lateen analyze virtual-service.yaml'],
    ['A folder, without a cluster', 'lateen analyze --use-kube=false manifests/'],
    ['Leave out what is known', 'lateen analyze -A -S "IST0102=Namespace frod*"'],
  ],
  flags: {
    'all-namespaces': { type: 'boolean', short: 'A', summary: 'Look at all namespaces' },
    color: { type: 'boolean', summary: 'Colours (NO_COLOR switches them off too)', default: true },
    'failure-threshold': {
      type: 'string',
      summary: 'From which level on it fails',
      choices: levels,
      default: 'Error',
    },
    'list-analyzers': { type: 'boolean', short: 'L', summary: 'Show what is looked at' },
    output: { type: 'string', short: 'o', summary: 'How to show it', choices: ['log', 'json', 'yaml'], default: 'log' },
    'output-threshold': {
      type: 'string',
      summary: 'From which level on findings are shown',
      choices: levels,
      default: 'Info',
    },
    recursive: { type: 'boolean', short: 'R', summary: 'Folders below folders too (they always are)' },
    suppress: {
      type: 'string',
      short: 'S',
      multiple: true,
      summary: 'Findings to leave out, * for any part of a name',
      placeholder: 'CODE=KIND NAMESPACE/NAME',
    },
    'use-kube': { type: 'boolean', short: 'k', summary: "Look at the cluster's resources as well", default: true },
  },
  maxArgs: 100,
  async run({ args, flags, kube, stdin, stdout, terminal, signal }) {
    if (flags['list-analyzers']) {
      stdout.write(
        formatTable([
          ['ANALYZER', 'WHAT IT DOES'],
          ...Object.entries(analyzers).map(([name, { about }]) => [name, about]),
        ]),
      );
      return exit.ok;
    }
    if (!flags['use-kube'] && args.length === 0)
      throw usageError('no file was given', 'name files or folders, or leave --use-kube=false out');
    const manifests = await readManifests(args, stdin);
    const broken = manifests.filter(({ problem }) => problem !== null);
    if (broken.length > 0) {
      const [{ file, problem, lineOf }] = broken;
      const line = lineOf('');
      throw new CliError(`${file}${line === null ? '' : `:${line}`}: ${problem}`, { exitCode: exit.data });
    }
    const namespace = flags.namespace ?? 'default';
    const fromFiles = new Map(manifests.map((manifest) => [placed(manifest.object, namespace), manifest]));
    const files = [...fromFiles.keys()].filter((object): object is Analyzed => object !== null);
    const cluster = flags['use-kube'] ? await read(await kube(), signal) : { objects: [], seesSecrets: true };
    const given = new Set(files.map(idOf));
    const found = analyze([...cluster.objects.filter((object) => !given.has(idOf(object))), ...files], {
      rootNamespace: flags.istioNamespace,
      isWhole: true,
      seesSecrets: cluster.seesSecrets,
      suppressed: flags.suppress.map(suppression),
    } satisfies AnalysisOptions);

    const least = levels.indexOf(flags['output-threshold'] as Level);
    const isMeant = ({ resource }: Finding) =>
      flags['all-namespaces'] ||
      (!flags['use-kube'] && flags.namespace === undefined) ||
      fromFiles.has(resource) ||
      (resource.metadata.namespace ?? resource.metadata.name) === namespace;
    const shown = found
      .filter((finding) => isMeant(finding) && levels.indexOf(messages[finding.code].level) >= least)
      .sort((a, b) => levels.indexOf(messages[b.code].level) - levels.indexOf(messages[a.code].level) || order(a, b));
    const where = (finding: Finding) => referenceOf(fromFiles.get(finding.resource), finding);

    if (flags.output === 'log')
      for (const finding of shown) stdout.write(`${lineFor(finding, where(finding), flags.color ? terminal : null)}\n`);
    else
      stdout.write(
        await render(
          shown.map((finding) => recordOf(finding, where(finding))),
          flags.output as 'json' | 'yaml',
        ),
      );

    const about = flags['use-kube']
      ? flags['all-namespaces']
        ? 'all namespaces'
        : `namespace: ${namespace}`
      : args.join(', ');
    const threshold = levels.indexOf(flags['failure-threshold'] as Level);
    const failed = shown.some(({ code }) => levels.indexOf(messages[code].level) >= threshold);
    if (shown.length === 0) terminal.success(`No validation issues found when analyzing ${about}.`);
    else if (failed) terminal.failure(`Analyzers found issues when analyzing ${about}.`);
    else terminal.warning(`Analyzers found ${shown.length} remarks when analyzing ${about}, none of which fails.`);
    return failed ? foundExitCode : exit.ok;
  },
});

function suppression(given: string): { code: string; resource: string } {
  const at = given.indexOf('=');
  const code = at < 0 ? given : given.slice(0, at);
  if (at < 0 || !Object.hasOwn(messages, code))
    throw usageError(`--suppress is CODE=KIND NAMESPACE/NAME, is "${given}"`, 'for example IST0102=Namespace frod');
  return { code, resource: given.slice(at + 1) };
}

const idOf = (object: Analyzed) => `${object.kind} ${nameOf(object)} ${object.apiVersion.split('/').at(-2) ?? ''}`;

/** Everything that analyzers look at. Without the right to read Secrets, nothing is said of them. */
async function read(client: KubeClient, signal: AbortSignal): Promise<{ objects: Analyzed[]; seesSecrets: boolean }> {
  const istio = kinds
    .filter(({ group }) => group.endsWith('.istio.io'))
    .map((kind) => resource(apiVersions(kind)[0], kind.kind, kind.plural));
  try {
    const listed = await Promise.all(
      [...([services, pods, namespaces, deployments] as Resource[]), ...istio].map((of) => list(client, of, signal)),
    );
    const kept = await list(client, secrets as Resource, signal).catch(() => null);
    return { objects: [...listed.flat(), ...(kept ?? [])], seesSecrets: kept !== null };
  } finally {
    client.close();
  }
}

async function list(client: KubeClient, of: Resource, signal: AbortSignal): Promise<Analyzed[]> {
  const objects: Analyzed[] = [];
  try {
    for await (const { items } of client.pages<ApiObject>(of, { signal }))
      for (const item of items)
        objects.push({ ...item, apiVersion: of.apiVersion, kind: of.kind, metadata: item.metadata ?? {} } as Analyzed);
  } catch (error) {
    // A kind that this cluster does not know has no objects.
    if (!isNotFound(error)) throw error;
  }
  return objects;
}

function order(a: Finding, b: Finding): number {
  const key = ({ code, resource, path }: Finding) => `${code} ${resource.kind} ${nameOf(resource)} ${path}`;
  return key(a) < key(b) ? -1 : 1;
}

/** `FILE:LINE`; '' for what comes from the cluster. */
function referenceOf(manifest: Manifest | undefined, { path }: Finding): string {
  if (!manifest) return '';
  const line = manifest.lineOf(path);
  return line === null ? manifest.file : `${manifest.file}:${line}`;
}

const colours: Readonly<Record<Level, Style>> = { Error: 'red', Warning: 'yellow', Info: 'cyan' };

function lineFor({ code, resource, path, message }: Finding, reference: string, terminal: Terminal | null): string {
  const { level } = messages[code];
  const word = terminal ? terminal.style(colours[level], level) : level;
  const field = path === '' || message.includes(path) ? '' : `${path}: `;
  return `${word} [${code}] (${[resource.kind, nameOf(resource), reference].filter(Boolean).join(' ')}) ${field}${message}`;
}

function recordOf({ code, resource, path, message }: Finding, reference: string) {
  return {
    code,
    documentationUrl: documentationUrl(code) || undefined,
    level: messages[code].level,
    message,
    name: messages[code].name,
    origin: `${resource.kind} ${nameOf(resource)}`,
    path: path || undefined,
    reference: reference || undefined,
  };
}
