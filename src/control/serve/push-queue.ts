/**
 * Proxies that wait to be brought up to date, each at most once. One is served at a time, and the event loop gets a turn between two:
 * translating for thousands must not keep new connections, certificates and probes waiting.
 */
export class PushQueue<Proxy> {
  readonly #waiting = new Map<Proxy, number>();
  readonly #push: (proxy: Proxy, changedAtMs: number) => void;
  #isRunning = false;

  /** `push` must not throw. `changedAtMs` is when the oldest change that it brings was seen. */
  constructor(push: (proxy: Proxy, changedAtMs: number) => void) {
    this.#push = push;
  }

  get length(): number {
    return this.#waiting.size;
  }

  add(proxy: Proxy, changedAtMs: number): void {
    // One that waits already keeps its place and its time: the later change comes along.
    if (!this.#waiting.has(proxy)) this.#waiting.set(proxy, changedAtMs);
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(() => this.#next());
  }

  remove(proxy: Proxy): void {
    this.#waiting.delete(proxy);
  }

  #next(): void {
    for (const [proxy, changedAtMs] of this.#waiting) {
      this.#waiting.delete(proxy);
      this.#push(proxy, changedAtMs);
      break;
    }
    this.#isRunning = this.#waiting.size > 0;
    if (this.#isRunning) setImmediate(() => this.#next());
  }
}
