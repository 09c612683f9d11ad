import { describeObject, isChecked, type Problem, validate } from '../../api/validate.ts';
import { analyze } from '../../control/analyze/analyze.ts';
import { messages } from '../../control/analyze/finding.ts';
import { placed } from '../analyzed.ts';
import { exit, usageError } from '../exit.ts';
import { type Manifest, readManifests } from '../manifests.ts';
import { render } from '../output.ts';
import { verb } from '../verb.ts';

interface Finding extends Problem {
  severity: 'error' | 'warning';
  /** `FILE:LINE`, or `FILE` where no line is known. */
  where: string;
  object: string;
}

export default verb({
  name: 'validate',
  summary: 'Check Istio resources in files',
  usage: '-f FILE|FOLDER|- [-f …] [-o json|yaml]',
  about:
    'Objects of other kinds are let through unchecked. What the analyzers say of the files together is a warning with its code; what may be\n' +
    'elsewhere is not missed (lateen analyze looks at a cluster as well). Exits with 1 when an object has an error; warnings do not count,\n' +
    'unless --strict is given.',
  examples: [
    ['Check a file', 'lateen validate -f virtual-service.yaml'],
    ['Check every YAML and JSON file in a folder and below', 'lateen validate -f manifests/'],
    ['Check what another program writes', 'kubectl get virtualservice -A -o yaml | lateen validate -f -'],
  ],
  flags: {
    filename: {
      type: 'string',
      short: 'f',
      multiple: true,
      summary: 'File, folder, or - for the standard input',
      placeholder: 'FILE',
    },
    output: {
      type: 'string',
      short: 'o',
      summary: 'How to show what was found',
      choices: ['text', 'json', 'yaml'],
      default: 'text',
    },
    strict: { type: 'boolean', summary: 'Warnings fail too' },
  },
  maxArgs: 100,
  async run({ args, flags, stdin, stdout, terminal }) {
    const sources = [...flags.filename, ...args];
    if (sources.length === 0) throw usageError('no file was given', 'name one with -f');
    const manifests = await readManifests(sources, stdin);
    const findings = [...manifests.flatMap(findingsOf), ...analysisOf(manifests, flags.namespace ?? 'default')];
    const errors = findings.filter(({ severity }) => severity === 'error');
    const failed = errors.length > 0 || (flags.strict && findings.length > 0);

    if (flags.output === 'json' || flags.output === 'yaml') {
      stdout.write(await render({ valid: !failed, findings }, flags.output));
    } else {
      for (const { where, object, path, message, severity } of findings)
        stdout.write(`${where}: ${severity}: ${[object, path, message].filter(Boolean).join(': ')}\n`);
      const checked = manifests.filter(({ object }) => isChecked(object)).length;
      const passed = manifests.filter(({ object, problem }) => problem === null && !isChecked(object)).length;
      const summary = `${count(checked, 'resource')} checked${passed > 0 ? `, ${passed} of other kinds let through` : ''}`;
      if (failed) terminal.failure(`${summary}: ${count(errors.length, 'error')}`);
      else
        terminal.success(`${summary}: valid${findings.length > 0 ? ` with ${count(findings.length, 'warning')}` : ''}`);
    }
    return failed ? exit.failure : exit.ok;
  },
});

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** What the analyzers say of files that are hardly ever all there is; each object's own faults are told already. */
function analysisOf(manifests: readonly Manifest[], namespace: string): Finding[] {
  const sound = manifests.filter(({ object, problem }) => problem === null && validate(object).errors.length === 0);
  const byObject = new Map(sound.map((manifest) => [placed(manifest.object, namespace), manifest]));
  const objects = [...byObject.keys()].filter((object) => object !== null);
  const without = ['schema.ValidationAnalyzer'];
  return analyze(objects, { isWhole: false, seesSecrets: false, without })
    .filter(({ code }) => messages[code].level !== 'Info')
    .map(({ code, resource, path, message }): Finding => {
      const { file, lineOf } = byObject.get(resource) as Manifest;
      const line = lineOf(path);
      return {
        severity: 'warning',
        where: line === null ? file : `${file}:${line}`,
        object: describeObject(resource),
        path,
        message: `[${code}] ${message}`,
        code: 'rule',
      };
    });
}

function findingsOf({ object, problem, file, lineOf }: Manifest): Finding[] {
  const finding = (severity: 'error' | 'warning', found: Problem): Finding => {
    const line = lineOf(found.path);
    return {
      severity,
      where: line === null ? file : `${file}:${line}`,
      object: problem ? '' : describeObject(object),
      ...found,
    };
  };
  if (problem) return [finding('error', { path: '', message: problem, code: 'format' })];
  const { errors, warnings } = validate(object);
  return [...errors.map((error) => finding('error', error)), ...warnings.map((warning) => finding('warning', warning))];
}
