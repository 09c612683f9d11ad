/** WasmPlugin (extensions.istio.io): a WebAssembly filter. https://istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object } from '../schema/schema.ts';
import { extensionsKind, type IstioStatus, oneTarget, policyTargetReference, workloadSelector } from './common.ts';
import { checkSelected } from './rules/small-rules.ts';
import { priority, trafficMatch, wasmFields } from './wasm.ts';

const spec = object(
  {
    ...wasmFields('["", "http", "https", "oci", "file"]'),
    match: trafficMatch,
    phase: enumOf(['UNSPECIFIED_PHASE', 'AUTHN', 'AUTHZ', 'STATS']),
    priority,
    selector: workloadSelector,
    targetRef: policyTargetReference,
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
  },
  { cel: [oneTarget] },
);

export type WasmPluginSpec = Infer<typeof spec>;
export type WasmPlugin = KubeObject<'WasmPlugin', WasmPluginSpec, IstioStatus>;

export const wasmPlugin = extensionsKind({
  kind: 'WasmPlugin',
  plural: 'wasmplugins',
  columns: columns({}),
  specIsRequired: true,
  spec,
  rules: [checkSelected],
});
