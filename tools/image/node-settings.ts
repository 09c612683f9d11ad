/** How Node runs the programs whose memory counts (docs/adr/0015-proxy-memory.md). */
export interface NodeSettings {
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * The proxy: a small young generation, one allocation arena and few threads, 9 MB less beside every pod at no
 * measurable cost per request; what a compiler leaves is freed where it was allocated, so that 7 MB of it can be used again; and
 * with `gc`, by which it forgets its start.
 */
export const proxySettings: NodeSettings = {
  flags: ['--max-semi-space-size=2', '--v8-pool-size=1', '--no-maglev-destroy-on-background', '--expose-gc'],
  environment: { MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '2' },
};

/**
 * The control plane: what a push takes and gives back again goes back to the system, since each large buffer has pages of its own (mallopt(3),
 * M_MMAP_THRESHOLD), and a small young generation; a third less after 200 proxies have connected.
 */
export const controlSettings: NodeSettings = {
  flags: ['--max-semi-space-size=4'],
  environment: { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '131072' },
};
