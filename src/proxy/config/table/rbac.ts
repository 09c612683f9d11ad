import type { StringMatch, ValueMatch } from '../match.ts';
import type { CidrRange, PortRange } from './listener.ts';
import type { HeaderMatch } from './route.ts';

export type RbacAction = 'ALLOW' | 'DENY' | 'LOG';

/** One RBAC filter. Policies are ordered by name, as Envoy iterates its sorted map. */
export interface Rbac {
  /** NONE when it has shadow rules only. */
  readonly action: RbacAction | 'NONE';
  readonly policies: readonly RbacPolicy[];
  /** Of statistics and metadata (Envoy: rules_stat_prefix); ''. */
  readonly prefix: string;
  /** What is judged too and only told; null without. */
  readonly shadow: RbacShadow | null;
}

export interface RbacShadow {
  readonly action: RbacAction;
  readonly policies: readonly RbacPolicy[];
  readonly prefix: string;
}

export interface RbacPolicy {
  /** As the control plane names it: `ns[NAMESPACE]-policy[NAME]-rule[N]`. */
  readonly name: string;
  readonly permissions: readonly RbacRule[];
  readonly principals: readonly RbacRule[];
}

export type RbacRule =
  | { readonly kind: 'any' }
  | { readonly kind: 'and' | 'or'; readonly rules: readonly RbacRule[] }
  | { readonly kind: 'not'; readonly rule: RbacRule }
  | { readonly kind: 'header'; readonly header: HeaderMatch }
  | { readonly kind: 'path'; readonly match: StringMatch }
  | { readonly kind: 'destinationIp' | 'directRemoteIp' | 'remoteIp'; readonly range: CidrRange }
  | { readonly kind: 'destinationPort'; readonly port: number }
  | { readonly kind: 'destinationPortRange'; readonly range: PortRange }
  | { readonly kind: 'authenticated'; readonly match: StringMatch | null }
  | { readonly kind: 'serverName'; readonly match: StringMatch }
  | {
      readonly kind: 'metadata';
      readonly filter: string;
      readonly path: readonly string[];
      readonly match: ValueMatch;
    };
