/**
 * OpenSSL, as Node carries it, called through koffi, 0.1 to 0.2 µs a call. Node's own `TLSWrap` costs about as much again as the cryptography: three
 * objects a connection, one turn of the event loop a write, 40 KiB an idle connection (docs/adr/0017-tls-by-openssl.md).
 *
 * Pointers are bigints; null is null.
 */
import { createRequire } from 'node:module';

type Pointer = bigint;
type Callback = bigint;

/** Named as OpenSSL names them (openssl.org/docs/man3.5/man3). */
export interface OpenSsl {
  errClear(): void;
  errLast(): number;
  errReason(code: number): string | null;
  verifyErrorText(code: number): string;

  bioMemory(): Pointer;
  bioNew(method: Pointer): Pointer | null;
  bioUpRef(bio: Pointer): number;
  bioFree(bio: Pointer): number;
  bioWrite(bio: Pointer, bytes: Buffer, length: number): number;
  bioRead(bio: Pointer, bytes: Pointer, size: number): number;
  bioControl(bio: Pointer, command: number, number: number, pointer: Pointer | null): number;

  certificateRead(bio: Pointer, into: null, callback: null, passphrase: string): Pointer | null;
  certificateFree(certificate: Pointer): void;
  certificateWrite(bio: Pointer, certificate: Pointer): number;
  certificateKey(certificate: Pointer): Pointer | null;
  certificateSetKey(certificate: Pointer, key: Pointer): number;
  certificateDigest(certificate: Pointer, digest: Pointer, bytes: Pointer, length: null): number;
  certificateNotAfter(certificate: Pointer): Pointer;
  digestSha256(): Pointer;
  timeDifference(days: [number], seconds: [number], from: null, to: Pointer): number;
  keyRead(bio: Pointer, into: null, callback: null, passphrase: string): Pointer | null;
  keyFree(key: Pointer): void;
  revocationRead(bio: Pointer, into: null, callback: null, passphrase: string): Pointer | null;
  revocationFree(list: Pointer): void;
  storeAddCertificate(store: Pointer, certificate: Pointer): number;
  storeAddRevocation(store: Pointer, list: Pointer): number;
  storeSetFlags(store: Pointer, flags: number): number;
  verify(verification: Pointer): number;
  verificationCertificate(verification: Pointer): Pointer | null;
  verificationChain(verification: Pointer): Pointer | null;
  verificationError(verification: Pointer): number;
  verificationSetError(verification: Pointer, error: number): void;
  stackLength(stack: Pointer): number;
  stackItem(stack: Pointer, index: number): Pointer;
  stackPop(stack: Pointer): Pointer | null;

  method(): Pointer;
  contextNew(method: Pointer): Pointer | null;
  contextFree(context: Pointer): void;
  contextControl(context: Pointer, command: number, number: number, pointer: Pointer | null): number;
  contextControlText(context: Pointer, command: number, number: number, text: string): number;
  contextControlBytes(context: Pointer, command: number, number: number, bytes: Buffer): number;
  contextOptions(context: Pointer, options: number): number;
  contextCiphers(context: Pointer, list: string): number;
  contextSuites(context: Pointer, list: string): number;
  contextCertificate(context: Pointer, certificate: Pointer): number;
  contextKey(context: Pointer, key: Pointer): number;
  contextClientAuthority(context: Pointer, certificate: Pointer): number;
  contextStore(context: Pointer): Pointer;
  contextSessionId(context: Pointer, id: Buffer, length: number): number;
  contextTimeout(context: Pointer, seconds: number): number;
  contextTickets(context: Pointer, count: number): number;
  contextAlpn(context: Pointer, callback: Callback, argument: null): void;
  contextNewSession(context: Pointer, callback: Callback): void;
  contextGetSession(context: Pointer, callback: Callback): void;
  contextVerifyChain(context: Pointer, callback: Callback, argument: null): void;

  sslNew(context: Pointer): Pointer | null;
  sslFree(ssl: Pointer): void;
  sslBio(ssl: Pointer, read: Pointer, write: Pointer): void;
  sslAccept(ssl: Pointer): void;
  sslConnect(ssl: Pointer): void;
  sslVerify(ssl: Pointer, mode: number, callback: Callback | null): void;
  sslHandshake(ssl: Pointer): number;
  sslRead(ssl: Pointer, bytes: Pointer, size: number): number;
  sslWrite(ssl: Pointer, bytes: Buffer, length: number): number;
  sslShutdown(ssl: Pointer): number;
  sslSetShutdown(ssl: Pointer, mode: number): void;
  sslGetShutdown(ssl: Pointer): number;
  sslControlText(ssl: Pointer, command: number, number: number, text: string): number;
  sslAlpn(ssl: Pointer, protocols: Buffer, length: number): number;
  sslSelectedAlpn(ssl: Pointer, data: [Pointer | null], length: [number]): void;
  sslVersion(ssl: Pointer): string;
  sslCipher(ssl: Pointer): Pointer | null;
  cipherName(cipher: Pointer): string;
  sslVerifyResult(ssl: Pointer): number;
  sslPeer(ssl: Pointer): Pointer | null;
  sslPeerChain(ssl: Pointer): Pointer | null;
  sslOwn(ssl: Pointer): Pointer | null;
  sslReused(ssl: Pointer): number;
  sslSession(ssl: Pointer, session: Pointer): number;
  sslOptions(ssl: Pointer, options: number): number;
  sessionId(session: Pointer, length: [number]): Pointer;
  sessionFree(session: Pointer): void;
}

/** Set by `loadOpenSsl`, which making a context calls: a proxy without TLS does not pay for koffi (2 MiB). */
export let openssl: OpenSsl = null as unknown as OpenSsl;

let koffi: typeof import('koffi') = null as unknown as typeof import('koffi');

/** Throws an Error when this Node does not show its OpenSSL. */
export function loadOpenSsl(): void {
  if (openssl !== null) return;
  koffi = createRequire(import.meta.url)('koffi') as typeof koffi;
  const library = koffi.load(null);
  koffi.proto('int LateenVerify(int accepted, void *store)');
  koffi.proto(
    'int LateenSelectAlpn(void *ssl, void *out, void *outLength, void *offered, uint32_t length, void *argument)',
  );
  koffi.proto('int LateenNewSession(void *ssl, void *session)');
  koffi.proto('void *LateenGetSession(void *ssl, void *id, int length, void *copy)');
  koffi.proto('int LateenVerifyChain(void *verification, void *argument)');
  // `declaration` is C, with `void *` for what is opaque and `uint8_t *` for a buffer.
  const bind = <F>(declaration: string): F => {
    try {
      return library.func(declaration) as unknown as F;
    } catch (error) {
      throw new Error(
        `this Node (${process.version}, ${process.execPath}) does not show its OpenSSL, which the proxy's TLS needs: ${(error as Error).message}`,
      );
    }
  };
  openssl = {
    errClear: bind('void ERR_clear_error()'),
    errLast: bind('unsigned long ERR_peek_last_error()'),
    errReason: bind('const char *ERR_reason_error_string(unsigned long code)'),
    verifyErrorText: bind('const char *X509_verify_cert_error_string(long code)'),

    bioMemory: bind('void *BIO_s_mem()'),
    bioNew: bind('void *BIO_new(void *method)'),
    bioUpRef: bind('int BIO_up_ref(void *bio)'),
    bioFree: bind('int BIO_free(void *bio)'),
    bioWrite: bind('int BIO_write(void *bio, const uint8_t *bytes, int length)'),
    bioRead: bind('int BIO_read(void *bio, void *bytes, int size)'),
    bioControl: bind('long BIO_ctrl(void *bio, int command, long number, void *pointer)'),

    certificateRead: bind('void *PEM_read_bio_X509(void *bio, void *into, void *callback, const char *passphrase)'),
    certificateFree: bind('void X509_free(void *certificate)'),
    certificateWrite: bind('int i2d_X509_bio(void *bio, void *certificate)'),
    certificateKey: bind('void *X509_get0_pubkey(void *certificate)'),
    certificateSetKey: bind('int X509_set_pubkey(void *certificate, void *key)'),
    certificateDigest: bind('int X509_digest(void *certificate, void *digest, void *bytes, void *length)'),
    certificateNotAfter: bind('void *X509_get0_notAfter(void *certificate)'),
    digestSha256: bind('void *EVP_sha256()'),
    timeDifference: bind('int ASN1_TIME_diff(_Out_ int *days, _Out_ int *seconds, void *from, void *to)'),
    keyRead: bind('void *PEM_read_bio_PrivateKey(void *bio, void *into, void *callback, const char *passphrase)'),
    keyFree: bind('void EVP_PKEY_free(void *key)'),
    revocationRead: bind('void *PEM_read_bio_X509_CRL(void *bio, void *into, void *callback, const char *passphrase)'),
    revocationFree: bind('void X509_CRL_free(void *list)'),
    storeAddCertificate: bind('int X509_STORE_add_cert(void *store, void *certificate)'),
    storeAddRevocation: bind('int X509_STORE_add_crl(void *store, void *list)'),
    storeSetFlags: bind('int X509_STORE_set_flags(void *store, unsigned long flags)'),
    verify: bind('int X509_verify_cert(void *verification)'),
    verificationCertificate: bind('void *X509_STORE_CTX_get0_cert(void *verification)'),
    verificationChain: bind('void *X509_STORE_CTX_get0_chain(void *verification)'),
    verificationError: bind('int X509_STORE_CTX_get_error(void *verification)'),
    verificationSetError: bind('void X509_STORE_CTX_set_error(void *verification, int error)'),
    stackLength: bind('int OPENSSL_sk_num(void *stack)'),
    stackItem: bind('void *OPENSSL_sk_value(void *stack, int index)'),
    stackPop: bind('void *OPENSSL_sk_pop(void *stack)'),

    method: bind('void *TLS_method()'),
    contextNew: bind('void *SSL_CTX_new(void *method)'),
    contextFree: bind('void SSL_CTX_free(void *context)'),
    contextControl: bind('long SSL_CTX_ctrl(void *context, int command, long number, void *pointer)'),
    contextControlText: bind('long SSL_CTX_ctrl(void *context, int command, long number, const char *text)'),
    contextControlBytes: bind('long SSL_CTX_ctrl(void *context, int command, long number, const uint8_t *bytes)'),
    contextOptions: bind('uint64_t SSL_CTX_set_options(void *context, uint64_t options)'),
    contextCiphers: bind('int SSL_CTX_set_cipher_list(void *context, const char *list)'),
    contextSuites: bind('int SSL_CTX_set_ciphersuites(void *context, const char *list)'),
    contextCertificate: bind('int SSL_CTX_use_certificate(void *context, void *certificate)'),
    contextKey: bind('int SSL_CTX_use_PrivateKey(void *context, void *key)'),
    contextClientAuthority: bind('int SSL_CTX_add_client_CA(void *context, void *certificate)'),
    contextStore: bind('void *SSL_CTX_get_cert_store(void *context)'),
    contextSessionId: bind('int SSL_CTX_set_session_id_context(void *context, const uint8_t *id, uint32_t length)'),
    contextTimeout: bind('long SSL_CTX_set_timeout(void *context, long seconds)'),
    contextTickets: bind('int SSL_CTX_set_num_tickets(void *context, size_t count)'),
    contextAlpn: bind('void SSL_CTX_set_alpn_select_cb(void *context, LateenSelectAlpn *callback, void *argument)'),
    contextNewSession: bind('void SSL_CTX_sess_set_new_cb(void *context, LateenNewSession *callback)'),
    contextGetSession: bind('void SSL_CTX_sess_set_get_cb(void *context, LateenGetSession *callback)'),
    contextVerifyChain: bind(
      'void SSL_CTX_set_cert_verify_callback(void *context, LateenVerifyChain *callback, void *argument)',
    ),

    sslNew: bind('void *SSL_new(void *context)'),
    sslFree: bind('void SSL_free(void *ssl)'),
    sslBio: bind('void SSL_set_bio(void *ssl, void *read, void *write)'),
    sslAccept: bind('void SSL_set_accept_state(void *ssl)'),
    sslConnect: bind('void SSL_set_connect_state(void *ssl)'),
    sslVerify: bind('void SSL_set_verify(void *ssl, int mode, LateenVerify *callback)'),
    sslHandshake: bind('int SSL_do_handshake(void *ssl)'),
    sslRead: bind('int SSL_read(void *ssl, void *bytes, int size)'),
    sslWrite: bind('int SSL_write(void *ssl, const uint8_t *bytes, int length)'),
    sslShutdown: bind('int SSL_shutdown(void *ssl)'),
    sslSetShutdown: bind('void SSL_set_shutdown(void *ssl, int mode)'),
    sslGetShutdown: bind('int SSL_get_shutdown(void *ssl)'),
    sslControlText: bind('long SSL_ctrl(void *ssl, int command, long number, const char *text)'),
    sslAlpn: bind('int SSL_set_alpn_protos(void *ssl, const uint8_t *protocols, uint32_t length)'),
    sslSelectedAlpn: bind('void SSL_get0_alpn_selected(void *ssl, _Out_ void **data, _Out_ uint32_t *length)'),
    sslVersion: bind('const char *SSL_get_version(void *ssl)'),
    sslCipher: bind('void *SSL_get_current_cipher(void *ssl)'),
    cipherName: bind('const char *SSL_CIPHER_standard_name(void *cipher)'),
    sslVerifyResult: bind('long SSL_get_verify_result(void *ssl)'),
    sslPeer: bind('void *SSL_get0_peer_certificate(void *ssl)'),
    sslPeerChain: bind('void *SSL_get_peer_cert_chain(void *ssl)'),
    sslOwn: bind('void *SSL_get_certificate(void *ssl)'),
    sslReused: bind('int SSL_session_reused(void *ssl)'),
    sslSession: bind('int SSL_set_session(void *ssl, void *session)'),
    sslOptions: bind('uint64_t SSL_set_options(void *ssl, uint64_t options)'),
    sessionId: bind('void *SSL_SESSION_get_id(void *session, _Out_ uint32_t *length)'),
    sessionFree: bind('void SSL_SESSION_free(void *session)'),
  };
}

/** A function that OpenSSL may call, for as long as the process lives. */
export function callback(
  type: 'LateenVerify' | 'LateenVerifyChain' | 'LateenSelectAlpn' | 'LateenNewSession' | 'LateenGetSession',
  call: (...args: never[]) => number | Pointer | null,
): Callback {
  return koffi.register(call, koffi.pointer(type)) as unknown as Callback;
}

/** Where a buffer's bytes lie, as long as it lives. */
export const addressOf = (bytes: Buffer): Pointer => koffi.address(bytes);

/** Writes into OpenSSL's memory. */
export const poke = (at: Pointer, type: 'uint64_t' | 'uint8_t', value: Pointer | number): void =>
  koffi.encode(at, type, value);

/** Text that OpenSSL keeps. */
export const textAt = (at: Pointer, length: number): string => Buffer.from(koffi.view(at, length)).toString('latin1');

/** Numbers of OpenSSL's headers (ssl.h, tls1.h, bio.h, x509_vfy.h of version 3). */
export const constants = {
  bioReset: 1,
  bioPending: 10,
  setMode: 33,
  setSessionCacheMode: 44,
  setServerName: 55,
  setTicketKeys: 59,
  addChainCertificate: 89,
  setGroups: 92,
  setSignatureAlgorithms: 98,
  setMinVersion: 123,
  setMaxVersion: 124,
  modeNoAutoChain: 8,
  modeReleaseBuffers: 0x10,
  modeMovingWriteBuffer: 2,
  optionNoTicket: 1 << 14,
  optionServerPreference: 1 << 22,
  optionNoRenegotiation: 1 << 30,
  /** Sent or taken (RFC 8879): Brotli takes half of a handshake, for a few hundred bytes. */
  optionNoCompressedCertificates: 2 ** 32 + 2 ** 33,
  verifyPeer: 1,
  verifyRequired: 2,
  cacheOff: 0,
  cacheClient: 1,
  cacheServer: 2,
  cacheNoInternal: 0x300,
  crlCheck: 4 | 8,
  shutdownReceived: 2,
  shutdownBoth: 3,
  alpnSelected: 0,
  alpnNone: 3,
} as const;

/** What OpenSSL complained of last; the queue, in which others may have left something, is empty afterwards. */
export function takeError(): Error {
  const code = openssl.errLast();
  openssl.errClear();
  return new Error((code === 0 ? null : openssl.errReason(code)) ?? 'TLS failed');
}

/** Whether a code of OpenSSL's queue comes from its TLS (err.h: ERR_GET_LIB, ERR_LIB_SSL). */
export function isTlsError(code: number): boolean {
  return ((code >>> 23) & 0xff) === 20;
}

export function memoryBio(): bigint {
  const bio = openssl.bioNew(openssl.bioMemory());
  if (bio === null) throw takeError();
  return bio;
}
