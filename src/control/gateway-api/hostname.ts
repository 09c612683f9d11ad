/** Hostnames of listeners and routes. https://gateway-api.sigs.k8s.io/reference/spec/#hostname */
import { coversHost } from '../model/selector.ts';

/** Where two meet: the narrower one, or null. An absent one is everything. */
export function intersection(a: string, b: string): string | null {
  if (coversHost(a, b)) return b;
  return coversHost(b, a) ? a : null;
}

/** What a listener serves of a route: every host of both, `*` when neither names any. */
export function servedHosts(listener: string | undefined, route: readonly string[] | undefined): string[] {
  const own = listener || '*';
  const asked = route?.length ? route : ['*'];
  return [...new Set(asked.flatMap((host) => intersection(own, host) ?? []))];
}

/** Whether `a` says more than `b` does: a host than a pattern, a longer pattern than a shorter. */
export function isNarrower(a: string, b: string): boolean {
  return a !== b && coversHost(b, a);
}
