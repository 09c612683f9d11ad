/**
 * What a proxy was sent of one type and does not run yet: it has not answered, or it has refused. Empty but for the time of a round trip
 * while all is well.
 *
 *   sent ──► unanswered ──► taken: forgotten
 *              ▲     └────► refused: kept until the name is sent again and taken, or is not asked for any more
 *              └────────────────┘
 */
import type { Nack } from './session.ts';

/** A change of the mesh's between two snapshots, by their versions: after `after`, and up to `upTo`. */
export interface Span {
  readonly after: number;
  readonly upTo: number;
}

export interface Unconfirmed {
  readonly name: string;
  /** In which of the mesh's changes what the proxy does not run came about; `after` 0 when it never had any of that name. */
  readonly spans: readonly Span[];
  /** Whether the proxy already had a configuration when this was sent: else it is starting. */
  readonly isUpdate: boolean;
  readonly sinceMs: number;
  /** In the proxy's words; null while it has not answered. */
  readonly refusal: string | null;
}

/** Somebody who is refused on and on is remembered by the whole of the time. */
const maxSpans = 16;

/** A response as a whole: two hundred proxies that are sent two thousand names each need no object a name until one of them refuses. */
interface Batch {
  readonly names: readonly string[];
  readonly hadBefore: ReadonlySet<string>;
  readonly after: number;
  readonly upTo: number;
  readonly isUpdate: boolean;
  readonly sinceMs: number;
}

export class UnconfirmedResources {
  readonly #entries = new Map<string, Unconfirmed & { nonce: string }>();
  /** By nonce. */
  readonly #batches = new Map<string, Batch>();
  /** The version of the last snapshot of which the proxy was sent all that it lacked. */
  #followedTo = 0;

  /** @param hadBefore names of which the proxy was sent another before */
  sentAll(
    names: readonly string[],
    hadBefore: ReadonlySet<string>,
    version: string,
    nonce: string,
    nowMs: number,
  ): void {
    if (this.#entries.size > 0 || this.#batches.size > 0) {
      for (const name of names) this.sent(name, hadBefore.has(name), version, nonce, nowMs);
      return;
    }
    const [after, upTo] = [this.#followedTo, Number(version)];
    this.#batches.set(nonce, { names, hadBefore, after, upTo, isUpdate: after > 0, sinceMs: nowMs });
  }

  /** Each name for itself, as soon as one of them fares otherwise than the rest. */
  #open(): void {
    for (const [nonce, batch] of this.#batches)
      for (const each of entriesOf(batch)) this.#entries.set(each.name, { ...each, nonce });
    this.#batches.clear();
  }

  /** @param hadBefore whether the proxy was sent another of that name */
  sent(name: string, hadBefore: boolean, version: string, nonce: string, nowMs: number): void {
    this.#open();
    const known = this.#entries.get(name);
    const span = { after: hadBefore ? this.#followedTo : 0, upTo: Number(version) };
    let spans = [...(known?.spans ?? []), span];
    if (spans.length > maxSpans) spans = [{ after: spans[0].after, upTo: span.upTo }];
    const isUpdate = this.#followedTo > 0;
    const sinceMs = known?.refusal === null ? known.sinceMs : nowMs;
    this.#entries.set(name, { name, nonce, spans, isUpdate, sinceMs, refusal: null });
  }

  /** What waits for an answer to something sent before, since `sinceMs`. */
  unsent(name: string, hadBefore: boolean, version: string, sinceMs: number): Unconfirmed {
    const spans = [{ after: hadBefore ? this.#followedTo : 0, upTo: Number(version) }];
    return { name, spans, isUpdate: this.#followedTo > 0, sinceMs, refusal: null };
  }

  /** What the proxy has not taken comes once more with a response, as it was. */
  again(name: string, nonce: string): void {
    this.#open();
    const known = this.#entries.get(name);
    if (known) this.#entries.set(name, { ...known, nonce });
  }

  /** All of the snapshot of this version is sent. */
  followed(version: string): void {
    this.#followedTo = Number(version);
  }

  taken(nonce: string): void {
    this.#batches.delete(nonce);
    if (this.#entries.size === 0) return;
    for (const [name, entry] of this.#entries) if (entry.nonce === nonce) this.#entries.delete(name);
  }

  /** A response is refused as a whole, but proxies take of it what they can and say which they could not. */
  refused(nonce: string, { message }: Pick<Nack, 'message'>): void {
    this.#open();
    const of = [...this.#entries.values()].filter((entry) => entry.nonce === nonce);
    const named = of.filter(({ name }) => isNamedIn(message, name));
    for (const entry of of)
      if (named.length === 0 || named.includes(entry)) this.#entries.set(entry.name, { ...entry, refusal: message });
      else this.#entries.delete(entry.name);
  }

  forget(name: string): void {
    if (this.#batches.size === 0 && this.#entries.size === 0) return;
    this.#open();
    this.#entries.delete(name);
  }

  get all(): readonly Unconfirmed[] {
    return [...this.#entries.values(), ...[...this.#batches.values()].flatMap(entriesOf)];
  }
}

function entriesOf({ names, hadBefore, after, upTo, isUpdate, sinceMs }: Batch): Unconfirmed[] {
  const [first, next] = [[{ after: 0, upTo }], [{ after, upTo }]];
  return names.map((name) => ({ name, spans: hadBefore.has(name) ? next : first, isUpdate, sinceMs, refusal: null }));
}

/** Ours says `NAME: reason`, Envoy `Error adding/updating cluster(s) NAME: reason, NAME: reason`. */
function isNamedIn(message: string, name: string): boolean {
  const at = message.indexOf(`${name}: `);
  return at === 0 || (at > 0 && ' \n;,'.includes(message[at - 1]));
}
