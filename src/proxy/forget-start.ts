const settledMs = 500;

/** What only the start needed leaves the memory: nothing of it would by itself in a proxy that has little to do. */
export function forgetStart(): void {
  setTimeout(() => {
    const { gc } = globalThis as { gc?: (options: object) => void };
    gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, settledMs).unref();
}
