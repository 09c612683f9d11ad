/**
 * How Node runs the proxy: a small young generation, one allocation arena and few threads, 9 MB less beside every pod at no
 * measurable cost per request (docs/adr/0015-proxy-memory.md); what a compiler leaves is freed
 * where it was allocated, so that 7 MB of it can be used again; and with `gc`, by which it forgets its start.
 */
export const proxyNodeFlags: readonly string[] = [
  '--max-semi-space-size=2',
  '--v8-pool-size=1',
  '--no-maglev-destroy-on-background',
  '--expose-gc',
];
export const proxyEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' };
