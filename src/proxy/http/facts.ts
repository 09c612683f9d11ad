import type { Metadata } from '../config/table.ts';
import type { Address, PeerIdentity } from '../net/connection.ts';

/** All that a decision about a request may look at: routing, authorization and faults are functions of this and the table. */
export interface RequestFacts {
  readonly method: string;
  /** Path with query, after normalisation: what every matcher sees. */
  readonly path: string;
  /** The Host header or :authority as sent, '' when absent. */
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  /** Value by lower-case name, several joined by `,` in their order; null when absent. Knows :method, :path, :authority and :scheme. */
  header(name: string): string | null;
  /** The values of a header that was sent more than once, each by itself; asked for only when `header` holds a comma. */
  headerValues(name: string): readonly string[];
  readonly peer: PeerIdentity | null;
  readonly mtls: boolean;
  readonly sni: string;
  /** The caller as the socket shows it (Envoy: direct_remote_ip). */
  readonly source: Address;
  /** The caller after x-forwarded-for is trusted as configured (Envoy: remote_ip). */
  readonly client: Address;
  /** The original destination. */
  readonly destination: Address;
  /** What filters found out about the request, by the filter's name (Envoy: dynamic metadata); null when nothing was. */
  readonly dynamicMetadata: Metadata | null;
  /** Draws 0 ≤ n < 1,000,000 once a request, so that fractions of one request agree; explain gives a fixed one. */
  readonly random: number;
}
