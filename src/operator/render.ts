/** Installation → manifests. Pure: the same installation always gives the same objects, in the order in which they are applied. */
import type { ResolvedInstallationSpec } from '../api/installation/profiles.ts';
import type { ApiObject } from '../kube/object.ts';
import { controlPlane } from './render/control-plane.ts';
import { core } from './render/core.ts';
import { gateway } from './render/gateway.ts';
import { type Component, defined, type Scope } from './render/scope.ts';

export type { Component, ComponentKind } from './render/scope.ts';

/** `name` is the IstioInstallation's. */
export function render(name: string, spec: ResolvedInstallationSpec): Component[] {
  const { control, ingressGateways, egressGateways } = spec.components;
  const scope: Scope = {
    owner: name,
    revision: spec.revision,
    namespace: spec.namespace,
    image: `${spec.hub}/lateen:${spec.tag}`,
    pullPolicy: control.k8s.imagePullPolicy ?? 'IfNotPresent',
    pullSecrets: spec.imagePullSecrets ?? [],
    spec,
  };
  const parts: Component[] = [];
  if (control.enabled) parts.push(controlPlane(scope));
  for (const each of ingressGateways) if (each.enabled) parts.push(gateway(scope, 'IngressGateway', each));
  for (const each of egressGateways) if (each.enabled) parts.push(gateway(scope, 'EgressGateway', each));
  const rendered = [core(scope, namespacesOf(scope, parts)), ...parts];
  return rendered.map((part) => ({ ...part, objects: part.objects.map((object) => defined<ApiObject>(object)) }));
}

function namespacesOf(scope: Scope, parts: Component[]): string[] {
  return [...new Set([scope.namespace, ...parts.map((part) => part.namespace)])];
}
