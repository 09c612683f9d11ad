import type { Weighed } from './balance.ts';

interface Entry {
  deadline: number;
  /** Equal deadlines go in the order in which they were set. */
  order: number;
  readonly of: Weighed;
}

const before = (a: Entry, b: Entry): boolean =>
  a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);

/** Earliest deadline first: each host comes in proportion to its weight, as evenly as can be, in O(log n). */
export class Schedule {
  readonly #heap: Entry[] = [];
  readonly #weight: (of: Weighed) => number;
  #now = 0;
  #order = 0;

  constructor(hosts: readonly Weighed[], weight: (of: Weighed) => number) {
    this.#weight = weight;
    for (const of of hosts) this.#push({ deadline: 1 / weight(of), order: this.#order++, of });
    // Proxies that begin at once do not all begin with the same host.
    for (let i = Math.floor(Math.random() * hosts.length); i > 0; i--) this.next();
  }

  next(): Weighed {
    const heap = this.#heap;
    const [first] = heap;
    this.#now = first.deadline;
    first.deadline = this.#now + 1 / this.#weight(first.of);
    first.order = this.#order++;
    this.#sink();
    return first.of;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entry, heap[parent])) break;
      heap[i] = heap[parent];
      i = parent;
    }
    heap[i] = entry;
  }

  #sink(): void {
    const heap = this.#heap;
    const [entry] = heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], entry)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = entry;
  }
}
