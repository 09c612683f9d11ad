/** ConfigMap `istio`, key `mesh`: the last text that could be read counts. */
import { parse } from 'yaml';
import type { MeshConfig } from '../../api/mesh-config.ts';
import { meshConfig } from '../../api/mesh-config.ts';
import { Findings } from '../../api/schema/findings.ts';
import { validatorOf } from '../../api/schema/validator.ts';

const check = validatorOf(meshConfig);

/** Throws an error that names the fields at fault. */
export function readMeshConfig(text: string, where: string): MeshConfig {
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (error) {
    throw new Error(`${where}: not YAML: ${(error as Error).message}`);
  }
  const findings = new Findings();
  check(value, findings);
  const { errors } = findings.result();
  if (errors.length > 0)
    throw new Error(`${where}: ${errors.map(({ path, message }) => `${path} ${message}`).join('; ')}`);
  return value as MeshConfig;
}
