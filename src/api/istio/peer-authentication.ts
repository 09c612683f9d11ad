/** PeerAuthentication (security.istio.io): whether a workload's callers must use mutual TLS. https://istio.io/latest/docs/reference/config/security/peer_authentication/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { enumOf, type Infer, map, object } from '../schema/schema.ts';
import { type IstioStatus, securityKind, workloadSelector } from './common.ts';
import { checkPeerAuthentication } from './rules/peer-authentication-rules.ts';

const mutualTls = object({ mode: enumOf(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT']) });

const spec = object(
  {
    mtls: mutualTls,
    portLevelMtls: map(mutualTls, {
      minProperties: 1,
      cel: [
        {
          rule: 'self.all(key, 0 < int(key) && int(key) <= 65535)',
          message: 'must have ports, 1–65535, as its keys',
          holds: (ports) =>
            Object.keys(ports).every((port) => /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) <= 65_535),
        },
      ],
    }),
    selector: workloadSelector,
  },
  {
    cel: [
      {
        rule: 'has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0) : true',
        message: 'portLevelMtls needs a selector with labels',
        holds: (spec) => spec.portLevelMtls === undefined || Object.keys(spec.selector?.matchLabels ?? {}).length > 0,
      },
    ],
  },
);

export type MutualTls = Infer<typeof mutualTls>;
export type MutualTlsMode = NonNullable<MutualTls['mode']>;
export type PeerAuthenticationSpec = Infer<typeof spec>;
export type PeerAuthentication = KubeObject<'PeerAuthentication', PeerAuthenticationSpec, IstioStatus>;

export const peerAuthentication = securityKind({
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
  shortName: 'pa',
  columns: columns({ Mode: '.spec.mtls.mode' }),
  spec,
  rules: [checkPeerAuthentication],
});
