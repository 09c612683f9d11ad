import type { HeaderBlock } from '../codec/header-block.ts';
import type { HeaderEdit } from '../codec/header-edit.ts';

/** How much body follows a response head. */
export type ResponseBody =
  | 'none'
  /** The head carries content-length. */
  | 'length'
  /** Framed by the protocol of the caller's connection. */
  | 'unknown';

/** The caller's side of one exchange, whichever protocol it came by. */
export interface ServerStream {
  /** More was written than the connection takes; `ActiveExchange.onDownstreamDrain` follows. */
  readonly congested: boolean;
  sendContinue(): void;
  sendInterim(block: HeaderBlock): void;
  /** Writes the head; returns its size in bytes. `edit` is used up. */
  sendHead(status: number, block: HeaderBlock | null, edit: HeaderEdit, body: ResponseBody): number;
  sendBody(bytes: Buffer, start: number, end: number): void;
  /** Ends the response; the exchange must be finished by then or in the same turn. */
  sendEnd(trailers: HeaderBlock | null): void;
  /** After a 101: bytes go both ways as they are. */
  startTunnel(): void;
  /** Breaks the response off so that the caller notices. */
  abort(): void;
  pauseRequest(): void;
  resumeRequest(): void;
}
