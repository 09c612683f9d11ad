import patches, { type Operation } from 'fast-json-patch';
import type { Pod } from './pod.ts';

/** The JSON patch (RFC 6902) that makes `injected` of `original`. */
export function patchOf(original: Pod, injected: Pod): Operation[] {
  return patches.compare(original, injected);
}
