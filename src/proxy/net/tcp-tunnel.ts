import { HeaderBlock, returnBlock } from '../codec/header-block.ts';
import { edit } from '../codec/header-edit.ts';
import type { TcpTunnel } from '../config/table.ts';
import type { TcpSession } from '../http/exchange.ts';
import type { ResetReason, UpstreamCall, UpstreamStream } from '../upstream/upstream-call.ts';

/** What a tunnel is to the connection that goes through it. */
export interface TunnelUser {
  /** The upstream has agreed: what is sent from now on reaches the other end. */
  onOpen(call: UpstreamCall): void;
  /** `bytes[start, end)` are this call's only. */
  onTunnelled(bytes: Buffer, start: number, end: number): void;
  /** The other end sends no more. */
  onTunnelEnd(): void;
  /** Once; `reason` says why it did not open, or broke. */
  onTunnelFailed(reason: string): void;
  onTunnelDrain(): void;
}

const noFields = new HeaderBlock();

/** A connection's bytes inside of a request: CONNECT, or POST (Envoy: tunneling_config; RFC 9110 §9.3.6). */
export class Tunnel implements UpstreamStream {
  readonly upgrading = true;
  readonly caller: TcpSession['connection'];
  readonly authority: string;
  private readonly settings: TcpTunnel;
  private readonly session: TcpSession;
  private readonly user: TunnelUser;
  private call: UpstreamCall | null = null;
  private open = false;
  private ended = false;

  constructor(settings: TcpTunnel, session: TcpSession, user: TunnelUser) {
    this.settings = settings;
    this.session = session;
    this.user = user;
    this.caller = session.connection;
    this.authority = settings.hostname(session);
  }

  onGiven(call: UpstreamCall): void {
    this.call = call;
    if (call.ready) this.onReady();
  }

  onReady(): void {
    const { method, path, headers } = this.settings;
    const call = this.call!;
    edit.begin(noFields);
    for (const { name, value } of headers?.add ?? [])
      edit.add(name, typeof value === 'string' ? value : value(this.session as never));
    const scheme = call.host.tls === null ? 'http' : 'https';
    const framing = method === 'POST' ? 'unknown' : 'none';
    call.sendHead({ method, scheme, authority: this.authority, path, block: noFields, edit, framing, upgrade: '' });
  }

  onInterim(): void {}

  onHead(block: HeaderBlock, endStream: boolean): void {
    const { status } = block;
    returnBlock(block);
    const call = this.call!;
    if (status < 200 || status > 299 || endStream) {
      this.abandon();
      this.user.onTunnelFailed(`the tunnel was answered with ${status}`);
      return;
    }
    this.open = true;
    this.user.onOpen(call);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.open) this.user.onTunnelled(bytes, start, end);
  }

  onComplete(): void {
    this.call = null;
    if (this.open) this.user.onTunnelEnd();
    else this.user.onTunnelFailed('the tunnel ended before it was open');
  }

  onFailure(reason: ResetReason, detail: string): void {
    this.call = null;
    // Of HTTP/1 the tunnel is all of the connection, whose end is the other end's.
    if (this.open && reason === 'connection termination') this.user.onTunnelEnd();
    else this.user.onTunnelFailed(detail || reason);
  }

  onUpstreamDrain(): void {
    this.user.onTunnelDrain();
  }

  /** Takes less when `congested`; `onTunnelDrain` tells when it takes more. */
  send(bytes: Buffer, start: number, end: number): void {
    if (this.ended) return;
    if (this.settings.method === 'POST') this.call?.sendBody(bytes, start, end);
    else this.call?.sendRaw(bytes, start, end);
  }

  get congested(): boolean {
    return this.call?.congested ?? false;
  }

  /** This end sends no more. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.call?.sendEnd(null);
  }

  hold(): void {
    this.call?.hold();
  }

  release(): void {
    this.call?.release();
  }

  abandon(): void {
    const { call } = this;
    this.call = null;
    call?.abandon();
  }
}
