import { isIP, Socket } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { getSystemErrorMessage } from 'node:util';
import type { UpstreamTls } from '../config/table.ts';
import { certificateFault, faultText } from '../net/identity.ts';
import { output } from '../net/output.ts';
import type { Secrets } from '../net/secrets.ts';
import { type Receiver, Transport } from '../net/transport.ts';

export interface DialTarget {
  /** An address, a name, or the path of a Unix socket (it begins with `/`). */
  readonly host: string;
  readonly port: number;
  /** Of the family of `host`: Node refuses to connect from one to the other. */
  readonly bindHost: string | null;
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
  private session: Buffer | null = null;

  get(context: object): Buffer | undefined {
    return this.context === context && this.session !== null ? this.session : undefined;
  }

  keep(context: object, session: Buffer): void {
    this.context = context;
    this.session = session;
  }

  forget(): void {
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
  const transport = new Transport(tls !== null);
  transport.receiver = receiver;
  const place = target.host.startsWith('/')
    ? { path: target.host }
    : { host: target.host, port: target.port, localAddress: target.bindHost ?? undefined };
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
  if (tls === null || context === null) {
    const socket = new Socket({ onread: transport.onread(), allowHalfOpen: true });
    transport.attach(socket);
    if (tls !== null) {
      clearTimeout(timer);
      transport.destroy(
        new ConnectError(
          `certificate ${tls.certificate ?? '(none)'} or trust ${tls.trust ?? '(none)'} has not arrived yet`,
          false,
        ),
      );
      return transport;
    }
    socket.setNoDelay(true);
    if (target.keepaliveSeconds !== null) socket.setKeepAlive(true, target.keepaliveSeconds * 1000);
    socket.once('connect', onConnected);
    socket.once('close', () => clearTimeout(timer));
    socket.connect(place);
    return transport;
  }
  const options: ConnectionOptions & { onread: object; localAddress?: string; allowHalfOpen: boolean } = {
    ...place,
    allowHalfOpen: true,
    secureContext: context,
    onread: transport.onread(),
    rejectUnauthorized: tls.trust !== null && !tls.acceptUntrusted,
    // Names are matched below against the configured list, not the host (Envoy: match_typed_subject_alt_names): Node asks
    // neither for a resumed session nor for an untrusted certificate.
    checkServerIdentity: () => undefined,
    ...(target.sni === '' ? {} : { servername: target.sni }),
    ...(target.alpn.length === 0 ? {} : { ALPNProtocols: [...target.alpn] }),
    session: sessions.get(context),
  };
  const socket = tlsConnect(options);
  socket.setNoDelay(true);
  if (target.keepaliveSeconds !== null) socket.setKeepAlive(true, target.keepaliveSeconds * 1000);
  transport.attach(socket);
  socket.on('session', (session: Buffer) => sessions.keep(context, session));
  socket.once('secureConnect', () => {
    const fault = peerFault(socket, tls, target.sni);
    if (fault !== null) transport.destroy(new Error(fault));
    else onConnected();
  });
  socket.once('close', () => {
    clearTimeout(timer);
    if (!connected) sessions.forget();
  });
  return transport;
}

/** Why a server whose chain is accepted is not the one that is meant, or null. */
function peerFault(socket: TLSSocket, tls: UpstreamTls, name: string): string | null {
  const byName = tls.autoSan && name !== '';
  if (tls.subjectAltNames.length === 0 && tls.pins === null && !byName) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return 'the server showed no certificate';
  const named = isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name);
  if (byName && named === undefined)
    return `the server's certificate is not for ${name}: ${certificate.subjectAltName ?? 'it names nothing'}`;
  const fault = certificateFault(certificate, tls);
  return fault === null
    ? null
    : `the server's certificate ${faultText[fault]}: ${certificate.subjectAltName ?? 'it names nothing'}`;
}
