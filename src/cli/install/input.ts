/** Files and settings of `lateen install` → the IstioInstallation that they ask for. */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { IstioInstallation } from '../../api/installation/istio-installation.ts';
import { type Problem, validate } from '../../api/validate.ts';
import { CliError, exit } from '../exit.ts';
import { installationSpec } from './istio-operator.ts';
import { applySetting, isTree, overlay, type Tree } from './path-setting.ts';

export interface InstallInput {
  files: string[];
  settings: string[];
  revision: string | undefined;
}

export interface Asked {
  installation: IstioInstallation;
  warnings: string[];
}

/** Later files are laid over earlier ones, settings over files, `revision` over all. Throws `CliError` that names the field. */
export function readInstallation({ files, settings, revision }: InstallInput): Asked {
  let spec: Tree = {};
  let name: string | undefined;
  for (const path of files)
    for (const document of readDocuments(path)) {
      const { kind, metadata } = document;
      if (kind !== 'IstioInstallation' && kind !== 'IstioOperator')
        throw new CliError(
          `${path}: is ${String(kind ?? 'of no kind')}, but must be an IstioInstallation or an IstioOperator`,
          {
            exitCode: exit.data,
          },
        );
      if (kind === 'IstioInstallation' && isTree(metadata) && typeof metadata.name === 'string') name = metadata.name;
      // An IstioOperator's namespace is that of the control plane.
      const home: Tree =
        kind === 'IstioOperator' && isTree(metadata) && metadata.namespace ? { namespace: metadata.namespace } : {};
      const given = isTree(document.spec) ? document.spec : {};
      spec = overlay(spec, installationSpec({ ...home, ...given }, `${path}: spec`)) as Tree;
    }
  const set: Tree = {};
  for (const setting of settings) applySetting(set, setting.replace(/^spec\./, ''));
  spec = overlay(spec, installationSpec(set, '--set')) as Tree;
  if (revision !== undefined) spec.revision = revision;
  if (spec.revision === 'default') delete spec.revision;

  const installation: IstioInstallation = {
    apiVersion: 'lateen.dev/v1alpha1',
    kind: 'IstioInstallation',
    metadata: { name: name ?? (spec.revision ? String(spec.revision) : 'default') },
    spec: spec as IstioInstallation['spec'],
  };
  const { errors, warnings } = validate(installation);
  const line = ({ path, message }: Problem) => `${path} ${message}`;
  if (errors.length > 0) {
    throw new CliError(errors.map(line).join('\n'), {
      exitCode: exit.data,
    });
  }
  return { installation, warnings: warnings.map(line) };
}

function readDocuments(path: string): Tree[] {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new CliError(`${path}: ${(error as Error).message}`);
  }
  return parseAllDocuments(text).flatMap((document) => {
    if ('errors' in document && document.errors.length > 0)
      throw new CliError(`${path}: ${document.errors[0].message}`, { exitCode: exit.data });
    const value: unknown = 'toJS' in document ? document.toJS() : null;
    if (value === null) return [];
    if (!isTree(value)) throw new CliError(`${path}: is no Kubernetes object`, { exitCode: exit.data });
    return [value];
  });
}
