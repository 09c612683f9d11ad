/** A case: configuration for a virtual host or a whole listener, and requests that Envoy and Lateen must answer alike. */

type Json = Readonly<Record<string, unknown>>;

export interface Http2Request {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpCase {
  readonly name: string;
  /** Routes of the case's own virtual host, in the JSON form of Envoy's protos; without it, everything goes to cluster `a`. */
  readonly routes?: readonly Json[];
  /** Further fields of the virtual host. */
  readonly host?: Json;
  /** Fields of the HttpConnectionManager; a case that has them gets a listener of its own. */
  readonly manager?: Json;
  /** Fields of that listener's route table. */
  readonly table?: Json;
  /** Filters before the router. */
  readonly filters?: readonly Json[];
  /** Further clusters; `{ port: 'a' }` in an address stands for the port of that backend. */
  readonly clusters?: readonly Json[];
  /** HTTP/1 as it goes over the wire, with `HOST` for the case's authority; or HTTP/2. Each on a connection of its own. */
  readonly requests: ReadonlyArray<string | Http2Request>;
  /** What comes to backends shortly after the answer counts too. */
  readonly lingers?: boolean;
  /** What differs and why: a request's number, or `all`, and the parts that are left out of the comparison. */
  readonly differs?: { readonly parts: ReadonlyArray<Part>; readonly why: string };
}

/** What is compared: the answer's status, its headers, its body, and the requests that backends saw. */
export type Part = 'status' | 'headers' | 'body' | 'upstream';

export const get = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: HOST\r\n${lines(headers)}\r\n`;

export const send = (method: string, path: string, headers = '', body = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: HOST\r\n${lines(headers)}content-length: ${body.length}\r\n\r\n${body}`;

/** `a: 1; b: 2` → a line each. */
function lines(headers: string): string {
  return headers
    .split('|')
    .filter(Boolean)
    .map((line) => `${line.trim()}\r\n`)
    .join('');
}

/** Answers that the backend gives to the requests of this header, one after the other; the last is repeated. */
export const replies = (...answers: string[]): string =>
  `x-replies: ${answers.map((answer) => encodeURIComponent(answer)).join(',')}`;

export const answer = (status: number, headers = '', body = ''): string =>
  `HTTP/1.1 ${status} X\r\n${lines(headers)}content-length: ${body.length}\r\n\r\n${body}`;

export const to = (cluster: string, more: Json = {}): Json => ({ route: { cluster, ...more } });

export const prefix = (value: string, action: Json, more: Json = {}): Json => ({
  match: { prefix: value },
  ...action,
  ...more,
});

export const direct = (status: number, body = ''): Json => ({
  direct_response: { status, ...(body && { body: { inline_string: body } }) },
});

export const extension = (name: string, type: string, fields: Json = {}): Json => ({
  name,
  typed_config: { '@type': `type.googleapis.com/${type}`, ...fields },
});
