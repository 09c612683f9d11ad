import { acceptAll, type TlsContext } from './context.ts';
import { addressOf, constants, isTlsError, memoryBio, openssl, poke, takeError, textAt } from './library.ts';
import { keepNoPeerKey } from './peer-keys.ts';
import type { CachedSession } from './session-cache.ts';
import { expiryMs } from './verified-chains.ts';

/** A session that a server gave, for a shorter handshake with it. */
export class TlsSession {
  readonly pointer: bigint;
  constructor(pointer: bigint) {
    this.pointer = pointer;
    sessions.register(this, pointer, this);
  }

  /** No connection may be begun with it any more. */
  free(): void {
    if (sessions.unregister(this)) openssl.sessionFree(this.pointer);
  }
}

const sessions = new FinalizationRegistry<bigint>((session) => openssl.sessionFree(session));

/** What becomes of a peer's certificate: not asked for, left to the caller to judge, or a reason to end the handshake. */
export type Verification = 'none' | 'told' | 'enforced';

export interface ServerHandshake {
  readonly verification: Verification;
  /** Ends the handshake when the client shows no certificate. */
  readonly requiresCertificate: boolean;
  /** Protocol to agree on; null for none. */
  readonly alpn: string | null;
}

export interface ClientHandshake {
  readonly verification: Verification;
  /** ''. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly session: TlsSession | null;
  /** Takes each session that the server gives. */
  onSession(session: TlsSession): void;
}

/** Bytes of plain text that one call of `read` may bring: 64 KiB of records, and the rest of the one before. */
const plainBytes = 65_536 + 16_896;
/** Of what the peer gets at once: a whole output buffer as records. */
export const sealedBytes: number = 131_072 + 16_384;

/**
 * All connections of a thread use the same two memory BIOs: each call empties what it fills, since OpenSSL keeps a record that
 * is not whole within the connection. So an idle connection has no buffer at all.
 */
let input = 0n;
let sealed = 0n;
let plainAddress = 0n;
let sealedAddress = 0n;

function makeShared(): void {
  input = memoryBio();
  sealed = memoryBio();
  plainAddress = addressOf(TlsConnection.plain);
  sealedAddress = addressOf(TlsConnection.sealed);
}

let current: TlsConnection | null = null;

/** The one that a callback of OpenSSL is about. */
export function currentConnection(): TlsConnection {
  return current!;
}

/**
 * TLS over bytes that somebody else carries: `feed` what came, `handshake` or `read`, and `takeSealed` what must be sent, whether
 * they threw or not, before any other connection has its turn.
 */
export class TlsConnection {
  /** What `read` has read; the next call of any connection overwrites it. */
  static readonly plain: Buffer = Buffer.allocUnsafeSlow(plainBytes);
  /** What `takeSealed` has taken. */
  static sealed: Buffer = Buffer.allocUnsafeSlow(sealedBytes);

  /** The handshake is over. */
  established = false;
  /** The peer said that it sends no more. */
  ended = false;
  /** Why the peer's certificate ended the handshake, or null. */
  refusal: string | null = null;
  /** What a client asked for; ''. */
  serverName = '';
  private ssl: bigint;
  readonly context: TlsContext;
  private readonly alpnChoice: string | null;
  /** What a server has agreed on; ''. */
  private agreed = '';
  private readonly onSession: ((session: TlsSession) => void) | null;
  private enforces = false;
  private requiresCertificate = false;
  /** Of a server: what the client asked to resume, which OpenSSL may decline. */
  private offered: CachedSession | null = null;
  /** Of a server: what can be resumed. */
  private session: CachedSession | null = null;

  private constructor(context: TlsContext, alpnChoice: string | null, onSession: ClientHandshake['onSession'] | null) {
    const ssl = openssl.sslNew(context.pointer);
    if (ssl === null) throw takeError();
    this.ssl = ssl;
    if (input === 0n) makeShared();
    this.context = context;
    this.alpnChoice = alpnChoice;
    this.onSession = onSession;
    openssl.bioUpRef(input);
    openssl.bioUpRef(sealed);
    openssl.sslBio(ssl, input, sealed);
  }

  static server(context: TlsContext, handshake: ServerHandshake): TlsConnection {
    const connection = new TlsConnection(context, handshake.alpn, null);
    openssl.sslAccept(connection.ssl);
    if (context.sessions !== null) openssl.sslOptions(connection.ssl, constants.optionNoTicket);
    connection.requiresCertificate = handshake.requiresCertificate;
    connection.verify(handshake.verification, handshake.requiresCertificate ? constants.verifyRequired : 0);
    return connection;
  }

  static client(context: TlsContext, handshake: ClientHandshake): TlsConnection {
    const { verification, serverName, alpn, session, onSession } = handshake;
    const connection = new TlsConnection(context, null, onSession);
    const { ssl } = connection;
    openssl.sslConnect(ssl);
    connection.verify(verification, 0);
    connection.serverName = serverName;
    if (serverName !== '') openssl.sslControlText(ssl, constants.setServerName, 0, serverName);
    if (alpn.length > 0) {
      const wire = alpnWire(alpn);
      openssl.sslAlpn(ssl, wire, wire.length);
    }
    if (session !== null) openssl.sslSession(ssl, session.pointer);
    return connection;
  }

  private verify(verification: Verification, flags: number): void {
    if (verification === 'none') return;
    this.enforces = verification === 'enforced';
    openssl.sslVerify(this.ssl, constants.verifyPeer | flags, verification === 'told' ? acceptAll() : null);
  }

  /** At most 64 KiB; `handshake` or `read` follows before any other connection is fed. */
  feed(bytes: Buffer, length: number): void {
    openssl.bioWrite(input, bytes, length);
  }

  /** Goes on with the handshake; true when it is over. Throws an Error when it failed. */
  handshake(): boolean {
    current = this;
    const result = openssl.sslHandshake(this.ssl);
    if (result === 1) {
      this.checkResumed();
      // A client of TLS 1.2 is given no other.
      if (this.offered !== null && this.resumed) this.session ??= this.offered;
      this.offered = null;
      this.established = true;
      return true;
    }
    this.look();
    return false;
  }

  /** OpenSSL asks nothing of a session that was made where less was asked for, under the same context. */
  private checkResumed(): void {
    if (this.enforces) this.refusal = this.verifyError;
    if (this.requiresCertificate && openssl.sslPeer(this.ssl) === null) this.refusal = 'it has shown none';
    if (this.refusal === null) return;
    dropInput();
    throw new Error(this.refusal);
  }

  /** Reads all that was fed into `plain`; how many bytes. Throws an Error when it is no TLS, or was changed on its way. */
  read(): number {
    const { ssl } = this;
    current = this;
    let length = openssl.sslRead(ssl, plainAddress, plainBytes);
    if (length <= 0) {
      this.look();
      length = 0;
    }
    while (openssl.bioControl(input, constants.bioPending, 0, null) > 0) {
      const result = openssl.sslRead(ssl, plainAddress + BigInt(length), plainBytes - length);
      if (result > 0) length += result;
      else this.look();
    }
    return length;
  }

  /** Why a call has brought nothing: there is too little of a record, or the peer has ended; else throws what is wrong. */
  private look(): void {
    // What other users of OpenSSL may have left in its queue is none of TLS's own errors.
    if (isTlsError(openssl.errLast())) throw this.fail();
    if ((openssl.sslGetShutdown(this.ssl) & constants.shutdownReceived) === 0) return;
    this.ended = true;
    dropInput();
  }

  /** Seals bytes, for `takeSealed` right afterwards. */
  write(bytes: Buffer, length: number): void {
    current = this;
    if (openssl.sslWrite(this.ssl, bytes, length) <= 0) throw this.fail();
  }

  /** Moves what must be sent into `sealed`; how many bytes, 0 when none are left. */
  takeSealed(): number {
    return Math.max(0, openssl.bioRead(sealed, sealedAddress, sealedBytes));
  }

  /** For whoever still needs what is in `sealed`. */
  static renewSealed(): void {
    TlsConnection.sealed = Buffer.allocUnsafeSlow(sealedBytes);
    sealedAddress = addressOf(TlsConnection.sealed);
  }

  /** Tells the peer that no more is sent, for `takeSealed` right afterwards. */
  end(): void {
    current = this;
    openssl.sslShutdown(this.ssl);
    openssl.errClear();
  }

  /**
   * For a server that has read `peerCertificate`, which is not to be asked for again: the certificates that led from it to a root
   * are verified, and as large as it is.
   */
  forgetPeerChain(): void {
    this.session = null;
    const chain = openssl.sslPeerChain(this.ssl);
    if (chain === null) return;
    for (let item = openssl.stackPop(chain); item !== null; item = openssl.stackPop(chain))
      openssl.certificateFree(item);
  }

  /**
   * For a server that knows who its client is: OpenSSL keeps the client's certificate as long as the connection, and its key in
   * several forms. This side's key, which is there anyway, takes that place: 2 KiB an idle connection, for 0.1 ms of work.
   */
  forgetPeerKey(): void {
    const peer = openssl.sslPeer(this.ssl);
    const own = openssl.sslOwn(this.ssl);
    const key = peer === null || own === null ? null : openssl.certificateKey(own);
    if (key !== null) openssl.certificateSetKey(peer!, key);
  }

  /** Nothing else may be called afterwards. */
  free(): void {
    if (this.ssl === 0n) return;
    // Else its session could not be resumed any more.
    openssl.sslSetShutdown(this.ssl, constants.shutdownBoth);
    openssl.sslFree(this.ssl);
    this.ssl = 0n;
    keepNoPeerKey(this);
  }

  get freed(): boolean {
    return this.ssl === 0n;
  }

  private fail(): Error {
    dropInput();
    const error = takeError();
    if (error.message !== 'certificate verify failed') return error;
    this.refusal = this.verifyError;
    return new Error(this.refusal ?? error.message);
  }

  /** OpenSSL's verdict on the peer's chain, in words; null when it is good, or there is none. */
  get verifyError(): string | null {
    const code = openssl.sslVerifyResult(this.ssl);
    return code === 0 ? null : openssl.verifyErrorText(code);
  }

  /** DER; null when the peer showed none. */
  get peerCertificate(): Buffer | null {
    const { session } = this;
    if (session === null) return derOf(openssl.sslPeer(this.ssl));
    session.certificate ??= derOf(openssl.sslPeer(this.ssl));
    return session.certificate;
  }

  /** DER; null when this side showed none. */
  get ownCertificate(): Buffer | null {
    const certificate = openssl.sslOwn(this.ssl);
    if (certificate === null) return null;
    let der = this.context.shown.get(certificate);
    if (der === undefined) {
      der = derOf(certificate)!;
      this.context.shown.set(certificate, der);
    }
    return der;
  }

  /** ''. */
  get alpn(): string {
    if (!this.isClient) return this.agreed;
    const data: [bigint | null] = [null];
    const length: [number] = [0];
    openssl.sslSelectedAlpn(this.ssl, data, length);
    return data[0] === null || length[0] === 0 ? '' : textAt(data[0], length[0]);
  }

  /** `TLSv1.3`. */
  get version(): string {
    return openssl.sslVersion(this.ssl);
  }

  /** Its name in the registry of IANA. */
  get cipher(): string {
    const cipher = openssl.sslCipher(this.ssl);
    if (cipher === null) return '';
    let name = cipherNames.get(cipher);
    if (name === undefined) {
      name = openssl.cipherName(cipher);
      cipherNames.set(cipher, name);
    }
    return name;
  }

  /** An earlier session was resumed. */
  get resumed(): boolean {
    return openssl.sslReused(this.ssl) === 1;
  }

  get isClient(): boolean {
    return this.onSession !== null;
  }

  /** For the callback of the context. */
  selectAlpn(out: bigint, outLength: bigint): number {
    if (this.alpnChoice === null) return constants.alpnNone;
    const { address, length } = lasting(this.alpnChoice);
    this.agreed = this.alpnChoice;
    poke(out, 'uint64_t', address);
    poke(outLength, 'uint8_t', length);
    return constants.alpnSelected;
  }

  /** For the callback of the context: 1 takes the session over. */
  keepSession(session: bigint): number {
    if (this.onSession !== null) {
      this.onSession(new TlsSession(session));
      return 1;
    }
    const { sessions } = this.context;
    if (sessions === null) return 0;
    const length: [number] = [0];
    const id = openssl.sessionId(session, length);
    const peer = openssl.sslPeer(this.ssl);
    const untilMs = peer === null ? Number.POSITIVE_INFINITY : expiryMs(peer);
    this.session = sessions.keep(textAt(id, length[0]), session, untilMs);
    if (this.offered !== null && this.resumed) this.session.certificate = this.offered.certificate;
    return 1;
  }

  /** For the callback of the context. */
  findSession(id: bigint, length: number): bigint | null {
    this.offered = this.context.sessions?.find(textAt(id, length)) ?? null;
    return this.offered?.pointer ?? null;
  }
}

/** What a connection that fails has not read must not reach another. */
function dropInput(): void {
  openssl.bioControl(input, constants.bioReset, 0, null);
}

function derOf(certificate: bigint | null): Buffer | null {
  if (certificate === null) return null;
  openssl.certificateWrite(sealed, certificate);
  const length = openssl.bioRead(sealed, sealedAddress, sealedBytes);
  if (length <= 0) return null;
  // It may stay for long: no other's memory is to stay with it.
  const der = Buffer.allocUnsafeSlow(length);
  TlsConnection.sealed.copy(der, 0, 0, length);
  return der;
}

/** Length and name of each (RFC 7301 §3.1). */
function alpnWire(protocols: readonly string[]): Buffer {
  return Buffer.concat(protocols.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')])));
}

/** By OpenSSL's pointer, of which there are as many as it has ciphers. */
const cipherNames = new Map<bigint, string>();

/** Names of protocols where OpenSSL can read them as long as the process lives; they come from configuration. */
const names = new Map<string, { bytes: Buffer; address: bigint; length: number }>();

function lasting(name: string) {
  let found = names.get(name);
  if (found === undefined) {
    const bytes = Buffer.allocUnsafeSlow(name.length);
    bytes.write(name, 'latin1');
    found = { bytes, address: addressOf(bytes), length: bytes.length };
    names.set(name, found);
  }
  return found;
}
