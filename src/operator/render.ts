/** Installation → manifests. Pure: the same installation always gives the same objects, in the order in which they are applied. */
import type { IstioInstallationSpec } from '../api/installation/istio-installation.ts';
import type { ApiObject } from '../kube/object.ts';
import { version } from '../lib/version.ts';
import { controlPlane } from './render/control-plane.ts';
import { core } from './render/core.ts';
import { gateway } from './render/gateway.ts';
import { type Component, defined, type Scope } from './render/scope.ts';

export type { Component, ComponentKind } from './render/scope.ts';

export const defaultHub = 'docker.io/lateen';

/** `name` is the IstioInstallation's; `spec` has its profile applied already. */
export function render(name: string, spec: IstioInstallationSpec): Component[] {
  const { components = {} } = spec;
  const scope: Scope = {
    owner: name,
    revision: spec.revision || 'default',
    namespace: spec.namespace ?? 'istio-system',
    image: `${spec.hub ?? defaultHub}/lateen:${spec.tag ?? spec.version ?? version}`,
    pullPolicy: components.control?.k8s?.imagePullPolicy ?? 'IfNotPresent',
    pullSecrets: spec.imagePullSecrets ?? [],
    spec,
  };
  const parts: Component[] = [];
  if (components.control?.enabled !== false) parts.push(controlPlane(scope));
  for (const each of components.ingressGateways ?? [])
    if (each.enabled !== false) parts.push(gateway(scope, 'IngressGateway', each));
  for (const each of components.egressGateways ?? [])
    if (each.enabled !== false) parts.push(gateway(scope, 'EgressGateway', each));
  const rendered = [core(scope, namespacesOf(scope, parts)), ...parts];
  return rendered.map((part) => ({ ...part, objects: part.objects.map((object) => defined<ApiObject>(object)) }));
}

function namespacesOf(scope: Scope, parts: Component[]): string[] {
  return [...new Set([scope.namespace, ...parts.map((part) => part.namespace)])];
}
