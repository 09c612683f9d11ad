/** ProxyConfig (networking.istio.io): settings of proxies that take effect when they start. https://istio.io/latest/docs/reference/config/networking/proxy-config/ */
import type { KubeObject } from '../meta.ts';
import { type Infer, int32, map, nullable, object, string } from '../schema/schema.ts';
import { type IstioStatus, networkingKind, text, workloadSelector } from './common.ts';
import { checkProxyConfig } from './rules/small-rules.ts';

const spec = object({
  concurrency: nullable(int32({ minimum: 0 })),
  environmentVariables: map(string({ maxLength: 2048 })),
  image: object({ imageType: text }),
  selector: workloadSelector,
});

export type ProxyConfigSpec = Infer<typeof spec>;
export type ProxyConfig = KubeObject<'ProxyConfig', ProxyConfigSpec, IstioStatus>;

export const proxyConfig = networkingKind({
  kind: 'ProxyConfig',
  plural: 'proxyconfigs',
  versions: ['v1beta1'],
  columns: [],
  spec,
  rules: [checkProxyConfig],
});
