/** AuthorizationPolicy (security.istio.io): who may call what. https://istio.io/latest/docs/reference/config/security/authorization-policy/ */
import { columns } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { array, enumOf, type Infer, object, required, ruled, string } from '../schema/schema.ts';
import { type IstioStatus, policyTargetReference, securityKind, text, texts, workloadSelector } from './common.ts';
import { checkAuthorizationPolicy, checkRule } from './rules/authorization-policy-rules.ts';

const serviceAccounts = array(string({ maxLength: 320 }), { maxItems: 16 });

const source = object(
  {
    ipBlocks: texts,
    namespaces: texts,
    notIpBlocks: texts,
    notNamespaces: texts,
    notPrincipals: texts,
    notRemoteIpBlocks: texts,
    notRequestPrincipals: texts,
    notServiceAccounts: serviceAccounts,
    notTrustDomains: texts,
    principals: texts,
    remoteIpBlocks: texts,
    requestPrincipals: texts,
    serviceAccounts,
    trustDomains: texts,
  },
  {
    cel: [
      {
        rule: '(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true',
        message: 'serviceAccounts cannot be set together with principals or namespaces',
        holds: (source) =>
          !(source.serviceAccounts || source.notServiceAccounts) ||
          !(source.principals || source.notPrincipals || source.namespaces || source.notNamespaces),
      },
    ],
  },
);

const operation = object({
  hosts: texts,
  methods: texts,
  notHosts: texts,
  notMethods: texts,
  notPaths: texts,
  notPorts: texts,
  paths: texts,
  ports: texts,
});

const condition = object({ key: required(text), notValues: texts, values: texts });

const rule = object({
  from: array(object({ source }), { maxItems: 512 }),
  to: array(object({ operation })),
  when: array(condition),
});

const spec = object(
  {
    action: enumOf(['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']),
    provider: object({ name: text }),
    rules: array(ruled(rule, checkRule), { maxItems: 512 }),
    selector: workloadSelector,
    targetRef: policyTargetReference,
    targetRefs: array(policyTargetReference, { maxItems: 16 }),
  },
  {
    oneOf: [['provider']],
    cel: [
      {
        rule: '(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
        message: 'at most one of selector, targetRef and targetRefs can be set',
        holds: (spec) =>
          [spec.selector, spec.targetRef, spec.targetRefs].filter((field) => field !== undefined).length <= 1,
      },
    ],
  },
);

export type AuthorizationSource = Infer<typeof source>;
export type AuthorizationOperation = Infer<typeof operation>;
export type AuthorizationCondition = Infer<typeof condition>;
export type AuthorizationRule = Infer<typeof rule>;
export type AuthorizationPolicySpec = Infer<typeof spec>;
export type AuthorizationPolicy = KubeObject<'AuthorizationPolicy', AuthorizationPolicySpec, IstioStatus>;

export const authorizationPolicy = securityKind({
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
  shortName: 'ap',
  columns: columns({ Action: '.spec.action' }),
  spec,
  rules: [checkAuthorizationPolicy],
});
