/** RequestAuthentication (security.istio.io): which tokens a workload takes. https://istio.io/latest/docs/reference/config/security/request_authentication/ */
import type { KubeObject } from '../meta.ts';
import { duration } from '../schema/duration.ts';
import { array, enumOf, type Infer, object, required, ruled, string } from '../schema/schema.ts';
import {
  flag,
  type IstioStatus,
  oneTarget,
  policyTargetReference,
  securityKind,
  text,
  workloadSelector,
} from './common.ts';
import { checkJwtRule, checkRequestAuthentication } from './rules/request-authentication-rules.ts';

const filled = string({ minLength: 1 });

const keysUrl = string({
  minLength: 1,
  maxLength: 2048,
  cel: [
    {
      rule: 'url(self).getScheme() in ["http", "https"]',
      message: 'must be a URL of http or https',
      holds: (url) => /^https?:\/\//i.test(url) && URL.canParse(url),
    },
  ],
});

const jwtRule = object(
  {
    audiences: array(filled),
    forwardOriginalToken: flag,
    fromCookies: array(filled),
    fromHeaders: array(object({ name: required(filled), prefix: text })),
    fromParams: array(filled),
    issuer: filled,
    jwks: text,
    jwksUri: keysUrl,
    jwks_uri: keysUrl,
    outputClaimToHeaders: array(
      object({ claim: required(filled), header: required(string({ minLength: 1, pattern: '^[-_A-Za-z0-9]+$' })) }),
    ),
    outputPayloadToHeader: text,
    presence: enumOf(['OPTIONAL', 'REQUIRED']),
    spaceDelimitedClaims: array(filled, { maxItems: 64 }),
    timeout: duration(),
  },
  {
    cel: [
      {
        rule: '(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1',
        message: 'at most one of jwks and jwksUri can be set',
        holds: ({ jwks, jwksUri, jwks_uri }) =>
          [jwks, jwksUri, jwks_uri].filter((field) => field !== undefined).length <= 1,
      },
    ],
  },
);

const spec = object(
  {
    jwtRules: array(ruled(jwtRule, checkJwtRule), { maxItems: 4096 }),
    selector: workloadSelector,
    targetRef: policyTargetReference,
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
  },
  { cel: [oneTarget] },
);

export type JwtRule = Infer<typeof jwtRule>;
export type RequestAuthenticationSpec = Infer<typeof spec>;
export type RequestAuthentication = KubeObject<'RequestAuthentication', RequestAuthenticationSpec, IstioStatus>;

export const requestAuthentication = securityKind({
  kind: 'RequestAuthentication',
  plural: 'requestauthentications',
  shortName: 'ra',
  columns: [],
  spec,
  rules: [checkRequestAuthentication],
});
