import { HeaderBlock, takeBlock } from '../codec/header-block.ts';
import { idOfName, knownId } from '../codec/header-names.ts';
import type {
  Cluster,
  Endpoint,
  HeaderMutation,
  HttpManager,
  Listener,
  Metadata,
  Route,
  VirtualHost,
  WeightedCluster,
} from '../config/table.ts';
import type { Address, ConnectionFacts, PeerIdentity } from '../net/connection.ts';
import { output } from '../net/output.ts';
import { withFlag } from '../telemetry/response-flags.ts';
import type { Trace } from '../telemetry/trace.ts';
import type { Exchange, UpstreamFacts } from './exchange.ts';
import type { Plane } from './plane.ts';
import type { ServerStream } from './server-stream.ts';

const contentTypeId = knownId('content-type');

/** Stands for headers that are not there (any more). */
const noHeaders = new HeaderBlock();

/** What takes the request's body from here on: forwarding, or a delay that keeps it. */
export interface BodyTaker {
  onRequestBody(bytes: Buffer, start: number, end: number): void;
  /** The request is complete, its trailers included (`exchange.requestTrailers`). */
  onRequestEnd(): void;
  onDownstreamDrain(): void;
  /** The caller has gone; nothing more can be sent to it. */
  onDownstreamGone(): void;
  /** The exchange is answered in another way: give everything up, without ending it. */
  cancel(): void;
}

/** The exchange while it lives. Its blocks go back to the pool when it is finished. */
export class ActiveExchange implements Exchange {
  readonly plane: Plane;
  readonly connection: ConnectionFacts;
  readonly listener: Listener;
  readonly manager: HttpManager;
  readonly stream: ServerStream;
  taker: BodyTaker | null = null;
  request: HeaderBlock;
  response: HeaderBlock = noHeaders;
  trailers: HeaderBlock | null = null;
  /** The request's own; kept until it is finished, since an attempt may be made long after they came. */
  requestTrailers: HeaderBlock | null = null;
  protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';
  /** How much of a body the request has: none, as much as content-length says, or unknown until it ends. */
  requestFraming: 'none' | 'length' | 'unknown' = 'none';
  method: string;
  path = '';
  originalPath = '';
  authority = '';
  /** Path and authority as they were sent on; '' before. */
  sentPath = '';
  sentAuthority = '';
  /** The Host field as it came. */
  hostText = '';
  scheme: 'http' | 'https';
  client: Address;
  readonly random: number;
  readonly startedAtMs: number;
  readonly startTick: number;
  requestEndTick = -1;
  upstreamFirstByteTick = -1;
  upstreamEndTick = -1;
  endTick = -1;
  requestHeaderBytes = 0;
  requestBodyBytes = 0;
  responseHeaderBytes = 0;
  responseBodyBytes = 0;
  status = 0;
  flags = '';
  details = '';
  upstreamFailure = '';
  virtualHost: VirtualHost | null = null;
  route: Route | null = null;
  cluster: Cluster | null = null;
  endpoint: Endpoint | null = null;
  upstreamRemote: Address | null = null;
  upstreamLocal: Address | null = null;
  upstreamMtls = false;
  upstream: UpstreamFacts | null = null;
  attemptTick = -1;
  upstreamSendTick = -1;
  upstreamSentTick = -1;
  responseTick = -1;
  upstreamHeadBytes = 0;
  upstreamFieldBytes = 0;
  /** Fields of the heads that were sent. */
  upstreamFieldCount = 0;
  responseFieldCount = 0;
  attempted: Address[] | null = null;
  localReplyBody = '';
  attempts = 0;
  /** Null until it is settled, or when there is none. */
  trace: Trace | null = null;
  traced = false;
  /** When a log last told of it; -1 before. */
  loggedTick = -1;
  /** Headers that the proxy made or changed, for whoever looks them up later: name, value, name, value. */
  private madeRequest: string[] | null = null;
  private madeResponse: string[] | null = null;
  requestId = '';
  /** What filters found out about the request, by the filter's name; null when nothing was. */
  dynamicMetadata: Record<string, Metadata[string]> | null = null;
  /** Of filters; null without any. */
  responseChanges: HeaderMutation[] | null = null;
  /** The cluster drawn by weight, when filters had to know it before forwarding; null otherwise. */
  weighted: WeightedCluster | null = null;
  /** Redirects that were followed here, and the routes they led to; null without any. */
  redirects = 0;
  visited: Route[] | null = null;
  /** From the end of the request on, and for each attempt; 0 without limit. */
  timeoutMs = 0;
  perTryTimeoutMs = 0;
  /** A balancer's, not a user's. */
  healthCheck = false;
  requestComplete = false;
  /** The head of the response is on its way to the caller. */
  responded = false;
  finished = false;
  /** The connection ends after the response, where a connection serves one request at a time. */
  lastOfConnection = false;

  constructor(
    plane: Plane,
    connection: ConnectionFacts,
    listener: Listener,
    manager: HttpManager,
    stream: ServerStream,
    request: HeaderBlock,
    method: string,
    protocol: 'HTTP/1.1' | 'HTTP/2' = 'HTTP/1.1',
  ) {
    this.plane = plane;
    this.connection = connection;
    this.listener = listener;
    this.manager = manager;
    this.stream = stream;
    this.request = request;
    this.method = method;
    this.protocol = protocol;
    this.scheme = connection.tls ? 'https' : 'http';
    this.client = connection.remote;
    this.random = Math.floor(Math.random() * 1_000_000);
    this.startedAtMs = output.wallMs;
    this.startTick = output.tick;
    plane.statistics.begin(this);
  }

  get grpc(): boolean {
    const at = this.request.find(contentTypeId);
    return at >= 0 && isGrpc(this.request, at);
  }

  get peer(): PeerIdentity | null {
    return this.connection.peer;
  }

  get traceId(): string {
    return this.trace?.traceId ?? '';
  }

  get spanId(): string {
    return this.trace?.spanId ?? '';
  }

  get mtls(): boolean {
    return this.connection.mtls;
  }

  get sni(): string {
    return this.connection.sni;
  }

  get source(): Address {
    return this.connection.socketRemote;
  }

  get destination(): Address {
    return this.connection.local;
  }

  header(name: string): string | null {
    if (name.charCodeAt(0) === 58) {
      if (name === ':path') return this.path;
      if (name === ':method') return this.method;
      if (name === ':authority') return this.authority;
      if (name === ':scheme') return this.scheme;
      return null;
    }
    if (name === 'x-request-id' && this.requestId !== '') return this.requestId;
    if (name === 'host') return this.authority;
    if (this.manager.underscores === 'drop' && name.includes('_')) return null;
    return made(this.madeRequest, name) ?? this.request.get(name);
  }

  sentHeader(name: string): string | null {
    if (name.charCodeAt(0) === 58) return this.sentPseudo(name) || null;
    if (name === 'x-forwarded-for' && this.manager.useRemoteAddress) {
      const before = this.request.get(name);
      return before === null ? this.source.ip : `${before},${this.source.ip}`;
    }
    return this.header(name);
  }

  private sentPseudo(name: string): string | null {
    if (name === ':path' && this.sentPath !== '') return this.sentPath;
    if (name === ':authority' && this.sentAuthority !== '') return this.sentAuthority;
    return this.header(name);
  }

  headerValues(name: string): readonly string[] {
    const values = this.request.all(name);
    if (values.length > 1 && made(this.madeRequest, name) === null) return values;
    const value = this.header(name);
    return value === null ? [] : [value];
  }

  responseHeader(name: string): string | null {
    if (name === ':status') return this.status === 0 ? null : String(this.status);
    if (name === 'server' && this.responded && this.manager.serverHeader !== 'passThrough') {
      const came = this.manager.serverHeader === 'overwrite' ? null : this.response.get(name);
      return came ?? this.manager.serverName;
    }
    return made(this.madeResponse, name) ?? this.response.get(name);
  }

  responseTrailer(name: string): string | null {
    return this.trailers === null ? null : this.trailers.get(name);
  }

  get requestFieldCount(): number {
    return this.request.count;
  }

  receivedFieldBytes(): number {
    return fieldBytes(this.request);
  }

  receivedResponseBytes(): { head: number; fields: number } {
    return { head: this.response.length, fields: fieldBytes(this.response) };
  }

  /** About once a second while it lives: logs of long requests tell of them in between. */
  logProgress(now: number): void {
    const { everyMs } = this.manager.logOptions;
    if (everyMs === 0 || now - Math.max(this.startTick, this.loggedTick) < everyMs) return;
    this.loggedTick = now;
    this.plane.telemetry.during(this, 'DownstreamPeriodic');
  }

  receivedIdBytes(): number {
    const came = this.request.get('x-request-id');
    return came === null ? 0 : 'x-request-id'.length + came.length;
  }

  trailerBytes(): number {
    return this.trailers === null ? 0 : fieldBytes(this.trailers) - this.trailers.count * 3;
  }

  /** Takes every field of this lower-case name out of the request, for all that follows. */
  removeRequestHeader(name: string): void {
    const { request } = this;
    const id = idOfName(name);
    for (let i = request.findName(name, id); i >= 0; i = request.findName(name, id, i)) request.delete(i);
  }

  /** Adds a field, beside others of its name. A pseudo-header is set. Values are of Latin-1. */
  addRequestHeader(name: string, value: string): void {
    if (name === 'host' || name.charCodeAt(0) === 58) this.setPseudoHeader(name, value);
    else this.request.insert(idOfName(name), Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1'));
  }

  setRequestHeader(name: string, value: string): void {
    this.removeRequestHeader(name);
    this.addRequestHeader(name, value);
  }

  private setPseudoHeader(name: string, value: string): void {
    if (name === ':path') this.path = value;
    else if (name === ':method') this.method = value;
    else if (name === ':authority' || name === 'host') this.authority = value;
    else if (name === ':scheme' && (value === 'http' || value === 'https')) this.scheme = value;
  }

  /** What the answer's head gets besides, whoever answers: the filter that comes last in the chain changes it first. */
  changeResponse(change: HeaderMutation): void {
    this.responseChanges ??= [];
    this.responseChanges.unshift(change);
  }

  /** Adds a filter's values to the metadata of the request (Envoy: dynamic metadata, by filter name). */
  addMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void {
    this.dynamicMetadata ??= {};
    const known = this.dynamicMetadata[namespace];
    this.dynamicMetadata[namespace] = known === undefined ? values : { ...known, ...values };
  }

  noteRequestHeader(name: string, value: string): void {
    this.madeRequest ??= [];
    this.madeRequest.push(name, value);
  }

  noteResponseHeader(name: string, value: string): void {
    this.madeResponse ??= [];
    this.madeResponse.push(name, value);
  }

  /** The last byte of the request has come. `trailers` are lent for the call. */
  completeRequest(trailers: HeaderBlock | null): void {
    this.requestComplete = true;
    this.requestEndTick = output.tick;
    if (trailers !== null) {
      this.requestTrailers = takeBlock();
      this.requestTrailers.copyFrom(trailers);
    }
    this.taker?.onRequestEnd();
  }

  addFlag(flag: string): void {
    this.flags = withFlag(this.flags, flag);
  }
}

/** `application/grpc`, alone or with `+` and a message format (gRPC over HTTP/2, Requests). */
function isGrpc(block: HeaderBlock, at: number): boolean {
  if (!block.valueStartsWith(at, 'application/grpc')) return false;
  const length = block.at[at * 4 + 3] - block.at[at * 4 + 2];
  return length === 16 || block.bytes[block.at[at * 4 + 2] + 16] === 43;
}

/** Names, values and the colon and line end of each field, as Envoy counts what it reads. */
function fieldBytes({ count, at }: HeaderBlock): number {
  let bytes = 0;
  for (let i = 0; i < count * 4; i += 4) bytes += at[i + 1] - at[i] + (at[i + 3] - at[i + 2]) + 3;
  return bytes;
}

function made(pairs: string[] | null, name: string): string | null {
  if (pairs === null) return null;
  for (let i = pairs.length - 2; i >= 0; i -= 2) if (pairs[i] === name) return pairs[i + 1];
  return null;
}
