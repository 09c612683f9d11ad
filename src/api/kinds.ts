/** Every kind of the API, in the order of its documentation. */
import { istioInstallation } from './installation/istio-installation.ts';
import { authorizationPolicy } from './istio/authorization-policy.ts';
import { destinationRule } from './istio/destination-rule.ts';
import { gateway } from './istio/gateway.ts';
import { peerAuthentication } from './istio/peer-authentication.ts';
import { serviceEntry } from './istio/service-entry.ts';
import { virtualService } from './istio/virtual-service.ts';
import type { Kind } from './kind.ts';

export const kinds: readonly Kind[] = [
  istioInstallation,
  virtualService,
  destinationRule,
  gateway,
  serviceEntry,
  authorizationPolicy,
  peerAuthentication,
];
