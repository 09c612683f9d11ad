/** AuthorizationPolicies as Envoy's RBAC filters (Istio, "Authorization Policy": DENY is decided before ALLOW). */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
} from '../../api/istio/authorization-policy.ts';
import type { PermissionSchema, PolicySchema, PrincipalSchema } from '../../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBAC_Action as Action } from '../../xds/gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../xds/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { matchesLabels } from '../model/selector.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { HttpFilter, NetworkFilter } from './http-manager.ts';
import { any } from './message.ts';
import type { Problems } from './problem.ts';
import type { Scope } from './scope.ts';
import { escapeRegex, exact, headerEquals, prefix, regex, type StringMatcher, suffix } from './string-match.ts';

type Permission = MessageInitShape<typeof PermissionSchema>;
type Principal = MessageInitShape<typeof PrincipalSchema>;
type Policy = MessageInitShape<typeof PolicySchema>;

export interface Authorization {
  http: HttpFilter[];
  network: NetworkFilter[];
}

/** The filters for one workload, in the order in which they decide. */
export function authorization(snapshot: Snapshot, scope: Scope, problems: Problems): Authorization {
  const root = snapshot.mesh.rootNamespace;
  const mine = snapshot.authorizationPolicies.filter(({ metadata, spec }) => {
    const { namespace } = metadata;
    if (namespace !== scope.namespace && namespace !== root) return false;
    if (spec.targetRef || spec.targetRefs?.length) return false;
    return matchesLabels(spec.selector?.matchLabels, scope.labels);
  });
  const result: Authorization = { http: [], network: [] };
  for (const action of ['DENY', 'ALLOW'] as const) {
    const policies = mine.filter(({ spec }) => (spec.action ?? 'ALLOW') === action);
    if (policies.length === 0) continue;
    const rbacAction = action === 'ALLOW' ? Action.ALLOW : Action.DENY;
    const build = (kind: 'http' | 'tcp') => ({
      action: rbacAction,
      policies: rulesOf(policies, action, kind, snapshot),
    });
    const statPrefix = 'istio_rbac';
    result.http.push({
      name: 'envoy.filters.http.rbac',
      configType: {
        case: 'typedConfig',
        value: any(HttpRbacSchema, { rules: build('http'), rulesStatPrefix: statPrefix }),
      },
    });
    result.network.push({
      name: 'envoy.filters.network.rbac',
      configType: { case: 'typedConfig', value: any(NetworkRbacSchema, { rules: build('tcp'), statPrefix }) },
    });
  }
  for (const policy of mine)
    if (policy.spec.action === 'CUSTOM' || policy.spec.action === 'AUDIT')
      problems.add(policy, 'spec.action', `${policy.spec.action} is not supported yet; the policy has no effect`);
  return result;
}

function rulesOf(
  policies: readonly AuthorizationPolicy[],
  action: 'ALLOW' | 'DENY',
  kind: 'http' | 'tcp',
  snapshot: Snapshot,
): Record<string, Policy> {
  const rules: Record<string, Policy> = {};
  for (const { metadata, spec } of policies) {
    const base = `ns[${metadata.namespace}]-policy[${metadata.name}]`;
    // A policy without rules matches nothing: ALLOW then denies all that no other policy allows.
    if (!spec.rules?.length) {
      if (action === 'ALLOW') rules[`${base}-rule[0]`] = { permissions: [nothing], principals: [noOne] };
      continue;
    }
    for (const [i, rule] of spec.rules.entries()) {
      const built = ruleOf(rule, action, kind, snapshot, metadata.namespace ?? '');
      if (built) rules[`${base}-rule[${i}]`] = built;
      else if (action === 'ALLOW') rules[`${base}-rule[${i}]`] = { permissions: [nothing], principals: [noOne] };
    }
  }
  return rules;
}

const anyPermission: Permission = { rule: { case: 'any', value: true } };
const anyPrincipal: Principal = { identifier: { case: 'any', value: true } };
const nothing: Permission = { rule: { case: 'notRule', value: anyPermission } };
const noOne: Principal = { identifier: { case: 'notId', value: anyPrincipal } };

/** What a part of a rule comes to on TCP, where nothing of HTTP is known: ALLOW can't be sure and never matches, DENY leaves the part out. */
class HttpOnly extends Error {}

function ruleOf(
  rule: AuthorizationRule,
  action: 'ALLOW' | 'DENY',
  kind: 'http' | 'tcp',
  snapshot: Snapshot,
  namespace: string,
): Policy | null {
  const domains = [snapshot.mesh.trustDomain, ...snapshot.mesh.trustDomainAliases];
  const builder = new RuleBuilder(kind, action, domains, namespace);
  try {
    const conditions = (rule.when ?? []).map((condition) => builder.condition(condition));
    const permissions = conditions.flatMap(({ permission }) => permission ?? []);
    const principals = conditions.flatMap(({ principal }) => principal ?? []);
    const to = rule.to?.length ? rule.to.map(({ operation }) => builder.operation(operation ?? {})) : [[]];
    const from = rule.from?.length ? rule.from.map(({ source }) => builder.source(source ?? {})) : [[]];
    return {
      permissions: to.map((parts) => allPermissions([...parts, ...permissions])),
      principals: from.map((parts) => allPrincipals([...parts, ...principals])),
    };
  } catch (error) {
    if (error instanceof HttpOnly) return null;
    throw error;
  }
}

const allPermissions = (rules: Permission[]): Permission =>
  rules.length === 0 ? anyPermission : { rule: { case: 'andRules', value: { rules } } };
const allPrincipals = (ids: Principal[]): Principal =>
  ids.length === 0 ? anyPrincipal : { identifier: { case: 'andIds', value: { ids } } };
const onePermission = (rules: Permission[]): Permission => ({ rule: { case: 'orRules', value: { rules } } });
const onePrincipal = (ids: Principal[]): Principal => ({ identifier: { case: 'orIds', value: { ids } } });
const notPermission = (value: Permission): Permission => ({ rule: { case: 'notRule', value } });
const notPrincipal = (value: Principal): Principal => ({ identifier: { case: 'notId', value } });

class RuleBuilder {
  readonly #kind: 'http' | 'tcp';
  readonly #action: 'ALLOW' | 'DENY';
  readonly #trustDomains: readonly string[];
  readonly #namespace: string;

  constructor(kind: 'http' | 'tcp', action: 'ALLOW' | 'DENY', trustDomains: readonly string[], namespace: string) {
    this.#namespace = namespace;
    this.#kind = kind;
    this.#action = action;
    this.#trustDomains = trustDomains;
  }

  operation(operation: AuthorizationOperation): Permission[] {
    return [
      ...this.#permissions(operation.hosts, operation.notHosts, true, (host) =>
        headerPermission(':authority', wildcard(host, true)),
      ),
      ...this.#permissions(operation.ports, operation.notPorts, false, (port) => ({
        rule: { case: 'destinationPort', value: Number(port) },
      })),
      ...this.#permissions(operation.methods, operation.notMethods, true, (method) =>
        headerPermission(':method', wildcard(method)),
      ),
      ...this.#permissions(operation.paths, operation.notPaths, true, (path) => ({
        rule: { case: 'urlPath', value: { rule: { case: 'path', value: pathMatcher(path) } } },
      })),
    ];
  }

  source(source: AuthorizationSource): Principal[] {
    return [
      ...this.#principals(source.principals, source.notPrincipals, false, (name) => this.#principal(name)),
      ...this.#principals(source.namespaces, source.notNamespaces, false, namespacePrincipal),
      ...this.#principals(source.serviceAccounts, source.notServiceAccounts, false, (name) =>
        serviceAccountPrincipal(name, this.#namespace),
      ),
      ...this.#principals(source.trustDomains, source.notTrustDomains, false, trustDomainPrincipal),
      ...this.#principals(source.ipBlocks, source.notIpBlocks, false, (block) => ({
        identifier: { case: 'directRemoteIp', value: cidr(block) },
      })),
      ...this.#principals(source.remoteIpBlocks, source.notRemoteIpBlocks, false, (block) => ({
        identifier: { case: 'remoteIp', value: cidr(block) },
      })),
      ...this.#principals(source.requestPrincipals, source.notRequestPrincipals, true, requestPrincipal),
    ];
  }

  condition({ key, values, notValues }: AuthorizationCondition): {
    permission?: Permission[];
    principal?: Principal[];
  } {
    const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
    if (header !== undefined)
      return {
        principal: this.#principals(values, notValues, true, (value) => ({
          identifier: { case: 'header', value: headerEquals(header.toLowerCase(), wildcard(value)) },
        })),
      };
    const claim = /^request\.auth\.claims((?:\[[^\]]+\])+)$/.exec(key)?.[1];
    if (claim !== undefined) {
      const path = [...claim.matchAll(/\[([^\]]+)\]/g)].map(([, part]) => part);
      return { principal: this.#principals(values, notValues, true, (value) => claimPrincipal(path, value)) };
    }
    switch (key) {
      case 'source.ip':
        return {
          principal: this.#principals(values, notValues, false, (block) => ({
            identifier: { case: 'directRemoteIp', value: cidr(block) },
          })),
        };
      case 'remote.ip':
        return {
          principal: this.#principals(values, notValues, false, (block) => ({
            identifier: { case: 'remoteIp', value: cidr(block) },
          })),
        };
      case 'source.namespace':
        return { principal: this.#principals(values, notValues, false, namespacePrincipal) };
      case 'source.principal':
        return { principal: this.#principals(values, notValues, false, (name) => this.#principal(name)) };
      case 'source.serviceAccount':
        return {
          principal: this.#principals(values, notValues, false, (name) =>
            serviceAccountPrincipal(name, this.#namespace),
          ),
        };
      case 'request.auth.principal':
        return { principal: this.#principals(values, notValues, true, requestPrincipal) };
      case 'request.auth.audiences':
        return { principal: this.#principals(values, notValues, true, (value) => claimPrincipal(['aud'], value)) };
      case 'request.auth.presenter':
        return { principal: this.#principals(values, notValues, true, (value) => claimPrincipal(['azp'], value)) };
      case 'destination.ip':
        return {
          permission: this.#permissions(values, notValues, false, (block) => ({
            rule: { case: 'destinationIp', value: cidr(block) },
          })),
        };
      case 'destination.port':
        return {
          permission: this.#permissions(values, notValues, false, (port) => ({
            rule: { case: 'destinationPort', value: Number(port) },
          })),
        };
      case 'connection.sni':
        return {
          permission: this.#permissions(values, notValues, false, (name) => ({
            rule: { case: 'requestedServerName', value: wildcard(name) },
          })),
        };
      default:
        // Validation has refused the key; what still gets here must not widen an ALLOW or narrow a DENY.
        return this.#action === 'ALLOW' ? { permission: [nothing] } : {};
    }
  }

  #permissions(
    values: string[] | undefined,
    notValues: string[] | undefined,
    isHttp: boolean,
    make: (value: string) => Permission,
  ): Permission[] {
    if (!this.#reads(values, notValues, isHttp)) return [];
    const parts: Permission[] = [];
    if (values?.length) parts.push(onePermission(values.map(make)));
    if (notValues?.length) parts.push(notPermission(onePermission(notValues.map(make))));
    return parts;
  }

  #principals(
    values: string[] | undefined,
    notValues: string[] | undefined,
    isHttp: boolean,
    make: (value: string) => Principal,
  ): Principal[] {
    if (!this.#reads(values, notValues, isHttp)) return [];
    const parts: Principal[] = [];
    if (values?.length) parts.push(onePrincipal(values.map(make)));
    if (notValues?.length) parts.push(notPrincipal(onePrincipal(notValues.map(make))));
    return parts;
  }

  #reads(values: string[] | undefined, notValues: string[] | undefined, isHttp: boolean): boolean {
    if (!values?.length && !notValues?.length) return false;
    if (!isHttp || this.#kind === 'http') return true;
    if (this.#action === 'ALLOW') throw new HttpOnly();
    return false;
  }

  /** `cluster.local/ns/a/sa/b`; the mesh's own domain stands for its aliases too. */
  #principal(name: string): Principal {
    if (name === '*') return authenticated(regex('.+'));
    if (name.startsWith('*')) return authenticated(suffix(name.slice(1)));
    if (name.endsWith('*')) return authenticated(prefix(`spiffe://${name.slice(0, -1)}`));
    const [domain, ...rest] = name.split('/');
    const domains =
      this.#trustDomains.includes(domain) || domain === 'cluster.local'
        ? new Set([domain, ...this.#trustDomains])
        : [domain];
    const names = [...domains].map((each) => authenticated(exact(`spiffe://${[each, ...rest].join('/')}`)));
    return names.length === 1 ? names[0] : onePrincipal(names);
  }
}

const authenticated = (principalName: StringMatcher): Principal => ({
  identifier: { case: 'authenticated', value: { principalName } },
});

const headerPermission = (name: string, value: StringMatcher): Permission => ({
  rule: { case: 'header', value: headerEquals(name, value) },
});

/** `abc`, `abc*`, `*abc`, `*` (Istio's exact, prefix, suffix and presence match). */
function wildcard(value: string, ignoreCase = false): StringMatcher {
  if (value === '*') return regex('.+');
  if (value.startsWith('*')) return suffix(value.slice(1), ignoreCase);
  if (value.endsWith('*')) return prefix(value.slice(0, -1), ignoreCase);
  return exact(value, ignoreCase);
}

/** Paths may hold `{*}` (one segment) and, last, `{**}` (the rest). */
function pathMatcher(path: string): StringMatcher {
  if (!path.includes('{')) return wildcard(path);
  const pattern = path
    .split(/(\{\*\*?\})/)
    .map((part) => (part === '{**}' ? '.*' : part === '{*}' ? '[^/]+' : escapeRegex(part)))
    .join('');
  return regex(pattern);
}

function namespacePrincipal(namespace: string): Principal {
  const pattern = namespace.split('*').map(escapeRegex).join('[^/]*');
  return authenticated(regex(`.*/ns/${pattern}/.*`));
}

/** `example.com`, `*.example.com`, `*` for whoever has an identity. */
function trustDomainPrincipal(domain: string): Principal {
  if (!domain.includes('*')) return authenticated(prefix(`spiffe://${domain}/`));
  return authenticated(regex(`spiffe://${domain.split('*').map(escapeRegex).join('[^/]*')}/.*`));
}

/** `namespace/name`, or `name` for one of the policy's own namespace (Istio, "Source"). */
function serviceAccountPrincipal(account: string, own: string): Principal {
  const [namespace, name] = account.includes('/') ? account.split('/', 2) : [own, account];
  const part = (text: string) => text.split('*').map(escapeRegex).join('[^/]*');
  return authenticated(regex(`.*/ns/${part(namespace)}/sa/${part(name)}`));
}

const jwtFilter = 'envoy.filters.http.jwt_authn';

function claimPrincipal(path: readonly string[], value: string): Principal {
  const match = { matchPattern: { case: 'stringMatch' as const, value: wildcard(value) } };
  return {
    identifier: {
      case: 'metadata',
      value: {
        filter: jwtFilter,
        path: ['payload', ...path].map((key) => ({ segment: { case: 'key' as const, value: key } })),
        value: {
          matchPattern: {
            case: 'orMatch',
            value: {
              valueMatchers: [
                match,
                { matchPattern: { case: 'listMatch', value: { matchPattern: { case: 'oneOf', value: match } } } },
              ],
            },
          },
        },
      },
    },
  };
}

/** `issuer/subject`. */
function requestPrincipal(name: string): Principal {
  if (name === '*') return claimPrincipal(['iss'], '*');
  const slash = name.lastIndexOf('/');
  if (name.startsWith('*') || slash < 0) return claimPrincipal(['sub'], name.slice(slash + 1) || '*');
  const subject = name.slice(slash + 1);
  return allPrincipals([claimPrincipal(['iss'], name.slice(0, slash)), claimPrincipal(['sub'], subject || '*')]);
}

function cidr(block: string) {
  const [addressPrefix, bits] = block.split('/');
  return { addressPrefix, prefixLen: bits === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(bits) };
}
