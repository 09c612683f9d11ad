import type { CertificateFacts } from '../net/connection.ts';
import { isExchange, type LogSubject } from './access-log.ts';
import { type Command, choice, command, orNull, plain } from './operator.ts';
import { timeFormat } from './start-time.ts';

type Read = (subject: LogSubject) => CertificateFacts | null;

const peer: Read = (s) => s.connection.peer;
const own: Read = (s) => s.connection.ownCertificate;
const upstreamPeer: Read = (s) => s.upstream?.tls?.peer ?? null;
const upstreamOwn: Read = (s) => s.upstream?.tls?.own ?? null;

const of = (read: Read, value: (certificate: CertificateFacts) => string): Command =>
  plain((s) => {
    const certificate = read(s);
    return certificate === null ? null : orNull(value(certificate));
  });

/** `*_SAN` of one side. Names of the kind otherName are not read: there is nothing to tell of them. */
function names(prefix: string, read: Read): Record<string, Command> {
  return {
    [`${prefix}_URI_SAN`]: of(read, (c) => c.uriSans.join(',')),
    [`${prefix}_DNS_SAN`]: of(read, (c) => c.dnsSans.join(',')),
    [`${prefix}_IP_SAN`]: of(read, (c) => c.ipSans.join(',')),
  };
}

/** Validity dates are told as `2026-01-31T09:05:07.000Z`, or as the format says (Envoy: %DOWNSTREAM_PEER_CERT_V_START%). */
const date = (read: Read, value: (certificate: CertificateFacts) => number): Command =>
  command('optional', false, (pattern) => {
    const format = timeFormat(pattern ?? '%Y-%m-%dT%H:%M:%E3SZ');
    return (s) => {
      const certificate = read(s);
      return certificate === null ? null : format(value(certificate));
    };
  });

/** Where a name for the request is looked for when the connection has none. */
const sources = ['ORIG', 'HOST', 'ORIG_OR_HOST'] as const;

function requestedServerName(argument: string | null) {
  const [first, second] = (argument ?? 'SNI_ONLY').split(':');
  const use = choice(first, ['SNI_ONLY', 'SNI_FIRST', 'HOST_FIRST']);
  const source = choice(second ?? 'ORIG_OR_HOST', sources);
  const host = (s: LogSubject): string => {
    if (!isExchange(s)) return '';
    const original = source === 'HOST' ? null : s.sentHeader('x-envoy-original-host');
    return original ?? (source === 'ORIG' ? '' : (s.sentHeader(':authority') ?? ''));
  };
  if (use === 'SNI_ONLY') return (s: LogSubject) => orNull(s.connection.sni);
  if (use === 'SNI_FIRST') return (s: LogSubject) => orNull(s.connection.sni || host(s));
  return (s: LogSubject) => orNull(host(s) || s.connection.sni);
}

const nothing = plain(() => null);

export const tlsOperators: Readonly<Record<string, Command>> = {
  REQUESTED_SERVER_NAME: command('optional', false, requestedServerName),
  DOWNSTREAM_TLS_VERSION: plain((s) => orNull(s.connection.tlsVersion)),
  DOWNSTREAM_TLS_CIPHER: plain((s) => orNull(s.connection.tlsCipher)),
  ...names('DOWNSTREAM_PEER', peer),
  ...names('DOWNSTREAM_LOCAL', own),
  DOWNSTREAM_PEER_EMAIL_SAN: of(peer, (c) => c.emailSans.join(',')),
  DOWNSTREAM_LOCAL_EMAIL_SAN: of(own, (c) => c.emailSans.join(',')),
  DOWNSTREAM_PEER_OTHERNAME_SAN: nothing,
  DOWNSTREAM_LOCAL_OTHERNAME_SAN: nothing,
  DOWNSTREAM_PEER_SUBJECT: of(peer, (c) => c.subject),
  DOWNSTREAM_LOCAL_SUBJECT: of(own, (c) => c.subject),
  DOWNSTREAM_PEER_ISSUER: of(peer, (c) => c.issuer),
  DOWNSTREAM_PEER_SERIAL: of(peer, (c) => c.serial),
  DOWNSTREAM_PEER_FINGERPRINT_256: of(peer, (c) => c.fingerprint),
  DOWNSTREAM_PEER_FINGERPRINT_1: of(peer, (c) => c.fingerprint1),
  DOWNSTREAM_PEER_CERT_V_START: date(peer, (c) => c.validFromMs),
  DOWNSTREAM_PEER_CERT_V_END: date(peer, (c) => c.validToMs),
  ...names('UPSTREAM_PEER', upstreamPeer),
  ...names('UPSTREAM_LOCAL', upstreamOwn),
  UPSTREAM_PEER_SUBJECT: of(upstreamPeer, (c) => c.subject),
  UPSTREAM_PEER_ISSUER: of(upstreamPeer, (c) => c.issuer),
  UPSTREAM_PEER_CERT_V_START: date(upstreamPeer, (c) => c.validFromMs),
  UPSTREAM_PEER_CERT_V_END: date(upstreamPeer, (c) => c.validToMs),
  UPSTREAM_TLS_VERSION: plain((s) => orNull(s.upstream?.tls?.version)),
  UPSTREAM_TLS_CIPHER: plain((s) => orNull(s.upstream?.tls?.cipher)),
  UPSTREAM_SERVER_NAME: plain((s) => orNull(s.upstream?.tls?.sni)),
};
