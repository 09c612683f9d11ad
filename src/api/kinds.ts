/** Every kind of the API, in the order of its documentation. */
import { istioInstallation } from './installation/istio-installation.ts';
import { authorizationPolicy } from './istio/authorization-policy.ts';
import { destinationRule } from './istio/destination-rule.ts';
import { envoyFilter } from './istio/envoy-filter.ts';
import { gateway } from './istio/gateway.ts';
import { peerAuthentication } from './istio/peer-authentication.ts';
import { proxyConfig } from './istio/proxy-config.ts';
import { requestAuthentication } from './istio/request-authentication.ts';
import { serviceEntry } from './istio/service-entry.ts';
import { sidecar } from './istio/sidecar.ts';
import { telemetry } from './istio/telemetry.ts';
import { trafficExtension } from './istio/traffic-extension.ts';
import { virtualService } from './istio/virtual-service.ts';
import { wasmPlugin } from './istio/wasm-plugin.ts';
import { workloadEntry } from './istio/workload-entry.ts';
import { workloadGroup } from './istio/workload-group.ts';
import type { Kind } from './kind.ts';

export const kinds: readonly Kind[] = [
  istioInstallation,
  virtualService,
  destinationRule,
  gateway,
  serviceEntry,
  workloadEntry,
  workloadGroup,
  sidecar,
  proxyConfig,
  envoyFilter,
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  telemetry,
  wasmPlugin,
  trafficExtension,
];
