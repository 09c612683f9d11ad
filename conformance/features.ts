/** What Lateen says that it supports of the Gateway API: the profiles, and of each the features. `npm run conformance` tests all of it. */

/** A conformance profile by its name in the suite (conformance/utils/suite/profiles.go). */
export type ProfileName = 'GATEWAY-HTTP' | 'GATEWAY-GRPC' | 'GATEWAY-TLS' | 'MESH-HTTP' | 'MESH-GRPC';

export interface Profile {
  /** What the profile demands. */
  core: string[];
  /** Which of the profile's extended features are there, by their names in pkg/features of the Gateway API. */
  extended: string[];
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  'GATEWAY-HTTP': { core: ['Gateway', 'ReferenceGrant', 'HTTPRoute'], extended: [] },
  'GATEWAY-GRPC': { core: ['Gateway', 'ReferenceGrant', 'GRPCRoute'], extended: [] },
  'GATEWAY-TLS': { core: ['Gateway', 'ReferenceGrant', 'TLSRoute'], extended: [] },
  'MESH-HTTP': { core: ['Mesh', 'HTTPRoute'], extended: [] },
  'MESH-GRPC': { core: ['Mesh', 'GRPCRoute'], extended: [] },
};

export const profileNames = Object.keys(profiles) as ProfileName[];

/** Every feature of these profiles, once. */
export function featuresOf(names: ProfileName[]): string[] {
  return [...new Set(names.flatMap((name) => [...profiles[name].core, ...profiles[name].extended]))];
}
