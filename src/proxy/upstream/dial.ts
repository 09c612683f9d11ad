import { X509Certificate } from 'node:crypto';
import { isIP, Socket } from 'node:net';
import { getSystemErrorMessage } from 'node:util';
import type { UpstreamTls } from '../config/table.ts';
import { certificateFault, faultText } from '../net/identity.ts';
import { output } from '../net/output.ts';
import type { Secrets } from '../net/secrets.ts';
import { type Receiver, Transport } from '../net/transport.ts';
import { TlsConnection, type TlsSession } from '../openssl/connection.ts';

export interface DialTarget {
  /** An address, a name, or the path of a Unix socket (it begins with `/`). */
  readonly host: string;
  readonly port: number;
  /** Of the family of `host`: Node refuses to connect from one to the other. */
  readonly bindHost: string | null;
  /** What is sent before anything else, TLS included, once the connection stands. */
  readonly greeting: ((socket: Socket) => Buffer) | null;
  readonly connectTimeoutMs: number;
  readonly keepaliveSeconds: number | null;
  readonly tls: UpstreamTls | null;
  readonly sni: string;
  readonly alpn: readonly string[];
}

export interface DialReceiver extends Receiver {
  /** The connection stands, its TLS handshake included. Without it `onClose` tells of a failure to connect. */
  onConnect(): void;
}

/** TLS sessions by destination, so that the next handshake is a short one. They end with the context that made them. */
export class SessionCache {
  private context: object | null = null;
  private session: TlsSession | null = null;

  get(context: object): TlsSession | null {
    return this.context === context ? this.session : null;
  }

  keep(context: object, session: TlsSession): void {
    this.session?.free();
    this.context = context;
    this.session = session;
  }

  forget(): void {
    this.session?.free();
    this.session = null;
  }
}

export class ConnectError extends Error {
  readonly timedOut: boolean;
  constructor(message: string, timedOut: boolean) {
    super(message);
    this.timedOut = timedOut;
  }
}

/** The words of Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON% for a failed connect; a TLS fault tells its own. */
export function failureText(error: Error | null): string {
  if (error === null) return '';
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (syscall === 'connect' && typeof errno === 'number') {
    const text = getSystemErrorMessage(errno) ?? error.message;
    return `delayed connect error: ${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  }
  return error instanceof ConnectError ? error.message : `TLS_error: ${error.message}`;
}

/** Starts a connection. Everything that happens to it, at once or later, is told to `receiver` in a later turn. */
export function dial(target: DialTarget, secrets: Secrets, sessions: SessionCache, receiver: DialReceiver): Transport {
  const { tls } = target;
  const transport = new Transport();
  transport.receiver = receiver;
  const socket = new Socket({ onread: transport.onread(), allowHalfOpen: true });
  transport.attach(socket);
  const context =
    tls === null
      ? null
      : secrets.context(
          {
            certificates: tls.certificate === null ? [] : [tls.certificate],
            trust: tls.trust,
            minVersion: tls.minVersion,
            maxVersion: tls.maxVersion,
            parameters: tls.parameters,
          },
          '',
          false,
        );
  if (tls !== null && context === null) {
    const reason = `certificate ${tls.certificate ?? '(none)'} or trust ${tls.trust ?? '(none)'} has not arrived yet`;
    transport.destroy(new ConnectError(reason, false));
    return transport;
  }
  let connected = false;
  const timer = setTimeout(
    () => transport.destroy(new ConnectError('connection timeout', true)),
    target.connectTimeoutMs,
  );
  const onConnected = () => {
    connected = true;
    clearTimeout(timer);
    transport.lastActiveTick = performance.now();
    output.turn(() => receiver.onConnect());
  };
  socket.setNoDelay(true);
  if (target.keepaliveSeconds !== null) socket.setKeepAlive(true, target.keepaliveSeconds * 1000);
  socket.once('close', () => {
    clearTimeout(timer);
    if (!connected) sessions.forget();
  });
  const { greeting } = target;
  if (greeting !== null) socket.once('connect', () => socket.write(greeting(socket)));
  if (tls === null || context === null) socket.once('connect', onConnected);
  else {
    const connection = TlsConnection.client(context, {
      verification: tls.trust === null ? 'none' : tls.acceptUntrusted ? 'told' : 'enforced',
      serverName: target.sni,
      alpn: target.alpn,
      session: sessions.get(context),
      onSession: (session) => sessions.keep(context, session),
    });
    transport.secure(connection, () => {
      const fault = peerFault(connection, tls, target.sni);
      if (fault !== null) transport.destroy(new Error(fault));
      else onConnected();
    });
    socket.once('connect', () => transport.beginHandshake());
  }
  socket.connect(
    target.host.startsWith('/')
      ? { path: target.host }
      : { host: target.host, port: target.port, localAddress: target.bindHost ?? undefined },
  );
  return transport;
}

/** Why a server whose chain is accepted is not the one that is meant, or null. */
function peerFault({ peerCertificate }: TlsConnection, tls: UpstreamTls, name: string): string | null {
  const byName = tls.autoSan && name !== '';
  if (tls.subjectAltNames.length === 0 && tls.pins === null && !byName) return null;
  if (peerCertificate === null) return 'the server showed no certificate';
  const named = () => {
    const certificate = new X509Certificate(peerCertificate);
    return isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name);
  };
  const names = () => new X509Certificate(peerCertificate).subjectAltName ?? 'it names nothing';
  if (byName && named() === undefined) return `the server's certificate is not for ${name}: ${names()}`;
  const fault = certificateFault(peerCertificate, tls);
  return fault === null ? null : `the server's certificate ${faultText[fault]}: ${names()}`;
}
