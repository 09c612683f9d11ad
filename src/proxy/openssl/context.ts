import type { TlsParameters } from '../config/table.ts';
import { currentConnection } from './connection.ts';
import { callback, constants, loadOpenSsl, memoryBio, openssl, takeError } from './library.ts';
import { SessionCache } from './session-cache.ts';
import { VerifiedChains } from './verified-chains.ts';

export interface TlsContextOptions {
  /** PEM: a leaf with its chain, and its key. One of each kind of key. */
  readonly certificates: ReadonlyArray<{ readonly chain: Buffer; readonly key: Buffer }>;
  /** PEM; null when nothing is verified. */
  readonly roots: Buffer | null;
  readonly revoked: Buffer | null;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly parameters: TlsParameters | null;
}

/** The forward-secret groups, the cheapest handshake first. */
const defaultGroups = 'X25519:P-256:P-384';

/** Version 1.3 has its own suites, which Envoy does not let one choose. */
const suites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Envoy's own (TlsParameters.cipher_suites), the cheapest first: the server's order counts. */
const defaultCiphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

const versions = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;

const registry = new FinalizationRegistry<bigint>((context) => openssl.contextFree(context));

/** What OpenSSL calls while it works on a connection. */
type Hook = 'acceptAll' | 'verifyChain' | 'selectAlpn' | 'keepSession' | 'findSession';
let hooks: Readonly<Record<Hook, bigint>> | null = null;

function loadHooks() {
  loadOpenSsl();
  hooks ??= {
    acceptAll: callback('LateenVerify', () => 1),
    verifyChain: callback('LateenVerifyChain', (verification: bigint) => {
      const { context, isClient } = currentConnection();
      return context.chains!.verify(verification, isClient);
    }),
    selectAlpn: callback('LateenSelectAlpn', (_ssl: bigint, out: bigint, outLength: bigint) =>
      currentConnection().selectAlpn(out, outLength),
    ),
    keepSession: callback('LateenNewSession', (_ssl: bigint, session: bigint) =>
      currentConnection().keepSession(session),
    ),
    findSession: callback('LateenGetSession', (_ssl: bigint, id: bigint, length: number) =>
      currentConnection().findSession(id, length),
    ),
  };
  return hooks;
}

/** Verification is told, not enforced: whoever asked for the handshake judges (`TlsConnection.verifyError`). */
export const acceptAll = (): bigint => loadHooks().acceptAll;

/** What handshakes are made from; shared by all connections of the same settings. Throws an Error when OpenSSL refuses it. */
export class TlsContext {
  readonly pointer: bigint;
  /** Its certificates in DER, by OpenSSL's pointer, as they are asked for. */
  readonly shown: Map<bigint, Buffer> = new Map();
  /** Null where every handshake asks anew: nothing is trusted, or what is may have been revoked meanwhile. */
  readonly chains: VerifiedChains | null;
  /** Of clients that showed a certificate; null where tickets hold what is needed, or none are given. */
  readonly sessions: SessionCache | null;

  constructor(options: TlsContextOptions) {
    const { verifyChain, selectAlpn, keepSession, findSession } = loadHooks();
    const pointer = openssl.contextNew(openssl.method());
    if (pointer === null) throw takeError();
    this.pointer = pointer;
    registry.register(this, this.pointer, this);
    openssl.contextAlpn(pointer, selectAlpn, null);
    openssl.contextNewSession(pointer, keepSession);
    const { issuesTickets, ticketKeys } = options.parameters ?? noParameters;
    this.sessions = options.roots !== null && issuesTickets && ticketKeys === null ? new SessionCache() : null;
    if (this.sessions !== null) openssl.contextGetSession(pointer, findSession);
    this.limit(options);
    for (const { chain, key } of options.certificates) this.show(chain, key);
    if (options.roots !== null) this.trust(options.roots, options.revoked);
    this.chains = options.roots === null || options.revoked !== null ? null : new VerifiedChains();
    if (this.chains !== null) openssl.contextVerifyChain(pointer, verifyChain, null);
  }

  /**
   * Begins no further connection; those that were begun keep what they need. What is dropped without it waits for the garbage
   * collector, which does not see how much memory it is.
   */
  free(): void {
    if (!registry.unregister(this)) return;
    this.sessions?.free();
    openssl.contextFree(this.pointer);
  }

  private limit({ minVersion, maxVersion, parameters }: TlsContextOptions): void {
    const { pointer } = this;
    const given = parameters ?? noParameters;
    const control = (command: number, number: number) => openssl.contextControl(pointer, command, number, null);
    // What is shown is what was given: OpenSSL would make a chain from the trusted ones, and verify it, in each handshake.
    control(
      constants.setMode,
      constants.modeReleaseBuffers | constants.modeMovingWriteBuffer | constants.modeNoAutoChain,
    );
    control(
      constants.setSessionCacheMode,
      constants.cacheClient | (this.sessions === null ? 0 : constants.cacheServer) | constants.cacheNoInternal,
    );
    check(control(constants.setMinVersion, versions[minVersion]));
    check(control(constants.setMaxVersion, versions[maxVersion]));
    check(openssl.contextControlText(pointer, constants.setGroups, 0, given.groups || defaultGroups));
    check(openssl.contextCiphers(pointer, given.ciphers || defaultCiphers));
    check(openssl.contextSuites(pointer, suites));
    if (given.signatureAlgorithms)
      check(openssl.contextControlText(pointer, constants.setSignatureAlgorithms, 0, given.signatureAlgorithms));
    if (given.sessionSeconds > 0) openssl.contextTimeout(pointer, given.sessionSeconds);
    if (given.ticketKeys !== null)
      check(openssl.contextControlBytes(pointer, constants.setTicketKeys, given.ticketKeys.length, given.ticketKeys));
    openssl.contextOptions(
      pointer,
      constants.optionServerPreference +
        constants.optionNoRenegotiation +
        constants.optionNoCompressedCertificates +
        (given.issuesTickets ? 0 : constants.optionNoTicket),
    );
    // A ticket is used once (RFC 8446 §C.4), and each handshake that uses one brings another.
    openssl.contextTickets(pointer, given.issuesTickets ? 1 : 0);
    // A server that asks for certificates resumes no session without one; its ticket keys are this context's own anyway.
    openssl.contextSessionId(pointer, sessionId, sessionId.length);
  }

  private show(chain: Buffer, key: Buffer): void {
    const { pointer } = this;
    let leaf = true;
    eachOf(chain, openssl.certificateRead, openssl.certificateFree, 'certificate', (certificate) => {
      check(
        leaf
          ? openssl.contextCertificate(pointer, certificate)
          : openssl.contextControl(pointer, constants.addChainCertificate, 1, certificate),
      );
      leaf = false;
    });
    const bio = pemBio(key);
    const own = openssl.keyRead(bio, null, null, '');
    openssl.bioFree(bio);
    if (own === null) throw takeError();
    const taken = openssl.contextKey(pointer, own);
    openssl.keyFree(own);
    check(taken);
  }

  private trust(roots: Buffer, revoked: Buffer | null): void {
    const { pointer } = this;
    const store = openssl.contextStore(pointer);
    eachOf(roots, openssl.certificateRead, openssl.certificateFree, 'certificate', (certificate) => {
      check(openssl.storeAddCertificate(store, certificate));
      openssl.contextClientAuthority(pointer, certificate);
    });
    if (revoked === null) return;
    eachOf(revoked, openssl.revocationRead, openssl.revocationFree, 'revocation list', (list) =>
      check(openssl.storeAddRevocation(store, list)),
    );
    openssl.storeSetFlags(store, constants.crlCheck);
  }
}

const noParameters: TlsParameters = {
  ciphers: '',
  groups: '',
  signatureAlgorithms: '',
  sessionSeconds: 0,
  issuesTickets: true,
  ticketKeys: null,
};
const sessionId = Buffer.from('lateen');

function check(result: number): void {
  if (result <= 0) throw takeError();
}

function pemBio(pem: Buffer): bigint {
  const bio = memoryBio();
  if (pem.length > 0) openssl.bioWrite(bio, pem, pem.length);
  return bio;
}

type ReadPem = (bio: bigint, into: null, callback: null, passphrase: string) => bigint | null;

/** Gives each item of a PEM file to `take`; there must be one. */
function eachOf(
  pem: Buffer,
  read: ReadPem,
  free: (item: bigint) => void,
  noun: string,
  take: (item: bigint) => void,
): void {
  const bio = pemBio(pem);
  let found = 0;
  try {
    for (let item = read(bio, null, null, ''); item !== null; item = read(bio, null, null, '')) {
      found++;
      try {
        take(item);
      } finally {
        free(item);
      }
    }
    if (found === 0) throw new Error(`holds no ${noun}: ${takeError().message}`);
    // Past the last item OpenSSL complains that there is no other.
    openssl.errClear();
  } finally {
    openssl.bioFree(bio);
  }
}
