/**
 * Every verb of the command line. A verb lives in `verbs/<name>.ts`, which exports `default verb({…})`, and has one line
 * here; its code is read only when it is called.
 */
import type { Verb } from './verb.ts';

interface Entry {
  summary: string;
  aliases?: readonly string[];
  load(): Promise<{ default: unknown }>;
}

export const registry: Readonly<Record<string, Entry>> = {
  analyze: {
    summary: 'Find mistakes in the configuration of a mesh, in a cluster or in files',
    load: () => import('./verbs/analyze.ts'),
  },
  explain: { summary: 'Show what becomes of a request, and why', load: () => import('./verbs/explain.ts') },
  help: { summary: 'Show what lateen can do', load: () => import('./verbs/help.ts') },
  inject: {
    summary: 'Add the proxy to the pods of a manifest',
    aliases: ['kube-inject'],
    load: () => import('./verbs/inject.ts'),
  },
  install: { summary: 'Install or reconfigure the mesh in a cluster', load: () => import('./verbs/install.ts') },
  'proxy-config': {
    summary: 'Show what a proxy is configured with',
    aliases: ['pc'],
    load: () => import('./verbs/proxy-config.ts'),
  },
  'proxy-status': {
    summary: 'Show which proxies have taken which configuration',
    aliases: ['ps'],
    load: () => import('./verbs/proxy-status.ts'),
  },
  up: { summary: 'Run a mesh on this machine, without Kubernetes', load: () => import('./verbs/up.ts') },
  validate: { summary: 'Check Istio resources in files', aliases: ['v'], load: () => import('./verbs/validate.ts') },
  uninstall: { summary: 'Remove the mesh from a cluster', load: () => import('./verbs/uninstall.ts') },
  version: {
    summary: 'Show the versions of client, control plane and proxies',
    load: () => import('./verbs/version.ts'),
  },
};

/** The verb's full name, or `null`. */
export function findVerb(word: string): string | null {
  if (Object.hasOwn(registry, word)) return word;
  return Object.keys(registry).find((name) => registry[name].aliases?.includes(word)) ?? null;
}

export async function loadVerb(name: string): Promise<Verb> {
  return (await registry[name].load()).default as Verb;
}
