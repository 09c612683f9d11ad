import { openssl } from './library.ts';

/** What a server keeps of a handshake, so that its client can resume it. */
export interface CachedSession {
  readonly pointer: bigint;
  /** When the client's certificate expires, in ms since 1970: it is asked to show another from then on. */
  readonly untilMs: number;
  /** The client's, in DER; null until somebody has asked for it. */
  certificate: Buffer | null;
}

/** Some 5 MiB at the most; a client whose session is no longer among them shakes hands in full. */
const maxSessions = 1000;

/**
 * Sessions of clients that showed a certificate, by id; the client's ticket is the id alone (SSL_CTX_set_options(3), SSL_OP_NO_TICKET).
 * A stateless ticket would hold the whole certificate: sealing it, and above all parsing it again, costs a fifth of a resumed handshake.
 */
export class SessionCache {
  /** The one used longest ago first. */
  private readonly sessions = new Map<string, CachedSession>();
  private closed = false;

  /** Takes over a reference to `pointer`. */
  keep(id: string, pointer: bigint, untilMs: number): CachedSession {
    const session = { pointer, untilMs, certificate: null };
    if (this.closed) {
      openssl.sessionFree(pointer);
      return session;
    }
    this.drop(id);
    this.sessions.set(id, session);
    if (this.sessions.size > maxSessions) this.drop(this.sessions.keys().next().value!);
    return session;
  }

  find(id: string): CachedSession | null {
    const session = this.sessions.get(id);
    if (session === undefined) return null;
    if (Date.now() >= session.untilMs) {
      this.drop(id);
      return null;
    }
    this.sessions.delete(id);
    this.sessions.set(id, session);
    return session;
  }

  private drop(id: string): void {
    const session = this.sessions.get(id);
    if (session !== undefined && this.sessions.delete(id)) openssl.sessionFree(session.pointer);
  }

  /** Keeps none any more, now and later. */
  free(): void {
    this.closed = true;
    for (const id of [...this.sessions.keys()]) this.drop(id);
  }

  get size(): number {
    return this.sessions.size;
  }
}
