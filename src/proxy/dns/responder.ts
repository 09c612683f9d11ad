/** One query to its reply: from the table of names, or from a resolver. */
import { DnsCounters } from './counters.ts';
import { Forwarder, type ForwarderOptions } from './forwarder.ts';
import {
  answerTo,
  codes,
  failureTo,
  formatErrorTo,
  maxTcpBytes,
  type Query,
  readQuery,
  replyLimit,
  truncatedTo,
} from './message.ts';
import type { Found, Names } from './names.ts';

/** Low, as the table may change at any time (Istio). */
const ttlSeconds = 30;
/** Addresses of one answer; Kubernetes has as many pods behind a headless service as it likes. */
const maxAddresses = 1000;

export class Responder {
  readonly counters = new DnsCounters();
  readonly forwarder: Forwarder;
  /** Null until the control plane has told them: until then nobody is answered, or a name of the mesh would be asked of strangers (Istio). */
  names: Names | null = null;

  constructor(options: Omit<ForwarderOptions, 'counters'>) {
    this.forwarder = new Forwarder({ ...options, counters: this.counters });
  }

  /** Calls `reply` once, at once where the table knows the answer, or never for what is no query. Never throws. */
  handle(bytes: Buffer, protocol: 'udp' | 'tcp', reply: (bytes: Buffer | null) => void): void {
    const { counters, names } = this;
    counters.requests++;
    const incoming = readQuery(bytes);
    if (incoming.kind === 'ignored') {
      counters.ignored++;
      reply(null);
    } else if (incoming.kind === 'malformed') {
      counters.malformed++;
      reply(formatErrorTo(bytes));
    } else if (names === null) reply(failureTo(bytes, incoming.query, codes.serverFailure));
    else {
      const { query } = incoming;
      const found = query.name === null ? null : names.find(query.name);
      if (found === null) void this.#forward(bytes, query, protocol).then(reply);
      else reply(this.#answer(bytes, query, found, protocol));
    }
  }

  #answer(bytes: Buffer, query: Query, { known, alias }: Found, protocol: 'udp' | 'tcp'): Buffer {
    // Of the other family there is none: an answer without addresses, since "no such name" would be taken to hold for both (istio#31250).
    const addresses = inAnyOrder(query.family === 6 ? known.ipv6 : known.ipv4);
    const answer = answerTo(bytes, query, { alias, addresses, ttlSeconds }, replyLimit(query, protocol));
    if (answer[2] & 2) this.counters.truncated++;
    return answer;
  }

  async #forward(bytes: Buffer, query: Query, protocol: 'udp' | 'tcp'): Promise<Buffer> {
    const outcome = await this.forwarder.ask(bytes, query, protocol);
    if (typeof outcome === 'string') return failureTo(bytes, query, codes.serverFailure);
    if (outcome.length <= (protocol === 'tcp' ? maxTcpBytes : replyLimit(query, protocol))) return outcome;
    this.counters.truncated++;
    return truncatedTo(bytes, query);
  }
}

/** Clients take the first: in turn, all are. The list itself stays as it is. */
function inAnyOrder<T>(list: readonly T[]): readonly T[] {
  if (list.length < 2) return list;
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed.slice(0, maxAddresses);
}
