/** TrafficExtension (extensions.istio.io): a filter in WebAssembly or Lua. https://istio.io/latest/docs/reference/config/proxy_extensions/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object, required, string } from '../schema/schema.ts';
import { extensionsKind, type IstioStatus, policyTargetReference, workloadSelector } from './common.ts';
import { checkSelected } from './rules/small-rules.ts';
import { priority, trafficMatch, wasmFields } from './wasm.ts';

const spec = object(
  {
    lua: object({ inlineCode: required(string({ minLength: 1, maxLength: 65_536 })) }),
    match: trafficMatch,
    phase: enumOf(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS']),
    priority,
    selector: workloadSelector,
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
    wasm: object(wasmFields('["", "http", "https", "file", "oci"]')),
  },
  {
    oneOf: [['wasm', 'lua']],
    cel: [
      {
        rule: '(has(self.selector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
        message: 'at most one of selector and targetRefs can be set',
        holds: ({ selector, targetRefs }) => selector === undefined || targetRefs === undefined,
      },
      {
        rule: 'has(self.wasm) != has(self.lua)',
        message: 'needs either wasm or lua',
        holds: ({ wasm, lua }) => (wasm !== undefined) !== (lua !== undefined),
      },
    ],
  },
);

export type TrafficExtensionSpec = Infer<typeof spec>;
export type TrafficExtension = KubeObject<'TrafficExtension', TrafficExtensionSpec, IstioStatus>;

export const trafficExtension = extensionsKind({
  kind: 'TrafficExtension',
  plural: 'trafficextensions',
  columns: columns({}),
  specIsRequired: true,
  spec,
  rules: [checkSelected],
});
