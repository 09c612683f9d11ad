/** Sidecar (networking.istio.io): which services a workload's proxy knows, and on which ports it serves. https://istio.io/latest/docs/reference/config/networking/sidecar/ */
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object, required, uint32 } from '../schema/schema.ts';
import { type IstioStatus, labelsSelector, networkingKind, text, texts } from './common.ts';
import { connectionPool } from './destination-rule.ts';
import { serverTls } from './gateway.ts';
import { checkSidecar } from './rules/sidecar-rules.ts';

const captureMode = enumOf(['DEFAULT', 'IPTABLES', 'NONE']);

const sidecarPort = object({ name: text, number: uint32(), protocol: text, targetPort: uint32() });

const egress = object({ bind: text, captureMode, hosts: required(texts), port: sidecarPort });

const ingress = object({
  bind: text,
  captureMode,
  connectionPool,
  defaultEndpoint: text,
  port: required(sidecarPort),
  tls: serverTls,
});

const spec = object({
  egress: array(egress),
  inboundConnectionPool: connectionPool,
  ingress: array(ingress),
  outboundTrafficPolicy: object({
    egressProxy: object({ host: required(text), port: object({ number: uint32() }), subset: text }),
    mode: enumOf(['REGISTRY_ONLY', 'ALLOW_ANY']),
  }),
  workloadSelector: labelsSelector,
});

export type SidecarPort = Infer<typeof sidecarPort>;
export type IstioEgressListener = Infer<typeof egress>;
export type IstioIngressListener = Infer<typeof ingress>;
export type SidecarSpec = Infer<typeof spec>;
export type Sidecar = KubeObject<'Sidecar', SidecarSpec, IstioStatus>;

export const sidecar = networkingKind({
  kind: 'Sidecar',
  plural: 'sidecars',
  columns: [],
  spec,
  rules: [checkSidecar],
});
