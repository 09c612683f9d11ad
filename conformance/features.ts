/** What Lateen says that it supports of the Gateway API, which is what `npm run conformance` tests: the control plane tells the same in its GatewayClass. */
export { supportedFeatures } from '../src/control/gateway-api/features.ts';

/** Conformance profiles by their names in the suite (conformance/utils/suite/profiles.go). */
export const profileNames = [
  'GATEWAY-HTTP',
  'GATEWAY-GRPC',
  'GATEWAY-TLS',
  'GATEWAY-TCP',
  'MESH-HTTP',
  'MESH-GRPC',
] as const;

export type ProfileName = (typeof profileNames)[number];
