/** Services of gRPC that proxies ask: a rate limit service, and one for authorization. They do what the request tells them. */
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type DescMessage, fromBinary, fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../../src/xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import {
  RateLimitRequestSchema,
  RateLimitResponseSchema,
} from '../../src/xds/gen/envoy/service/ratelimit/v3/rls_pb.js';
import { registry } from '../../src/xds/gen/registry.js';

export interface Service {
  readonly request: DescMessage;
  readonly response: DescMessage;
  /** What is compared of a request. */
  told(request: JsonValue): JsonValue;
  /** The response in JSON, a gRPC status, or `silent`. */
  answer(request: JsonValue): JsonValue | number | 'silent';
}

interface RateLimitRequest {
  readonly descriptors?: ReadonlyArray<{
    readonly entries: ReadonlyArray<{ readonly key: string; readonly value: string }>;
  }>;
}

interface CheckRequest {
  readonly attributes: {
    readonly request: { readonly http: { readonly headers: Readonly<Record<string, string>> }; readonly time?: string };
    readonly source?: object;
    readonly destination?: object;
  };
}

/** Fields of a check that are the connection's and the clock's own. */
function withoutAccidents(value: JsonValue): JsonValue {
  return JSON.parse(
    JSON.stringify(value, (key, inner) => {
      if (key === 'time' || key === 'portValue' || key === 'id' || key === 'x-request-id') return undefined;
      // Maps have no order.
      return inner !== null && typeof inner === 'object' && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner;
    }),
  );
}

export const services: Readonly<Record<string, Service>> = {
  /** Does what the value of an entry `do` says: JSON of the response, or the number of a status. */
  rls: {
    request: RateLimitRequestSchema,
    response: RateLimitResponseSchema,
    told: (request) => request,
    answer(request) {
      const { descriptors = [] } = request as unknown as RateLimitRequest;
      const entries = descriptors.flatMap((descriptor) => descriptor.entries);
      return JSON.parse(entries.find(({ key }) => key === 'do')?.value ?? '{"overallCode":"OK"}');
    },
  },
  /** Does what the header x-check says. */
  authz: {
    request: CheckRequestSchema,
    response: CheckResponseSchema,
    told: withoutAccidents,
    answer(request) {
      const { headers } = (request as unknown as CheckRequest).attributes.request.http;
      return JSON.parse(decodeURIComponent(headers['x-check'] ?? '{"status":{}}'));
    },
  },
};

/** `note` is told of each call: its path and headers, and its message in JSON. */
export function grpcServer(service: Service, note: (head: string[], body: string) => void): Http2Server {
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => {
      const request = toJson(service.request, fromBinary(service.request, Buffer.concat(pieces).subarray(5)), {
        registry,
        useProtoFieldName: false,
      });
      note([String(headers[':path'])], JSON.stringify(service.told(request)));
      const answer = service.answer(request);
      if (answer === 'silent') return;
      if (typeof answer === 'number') {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': answer },
          { endStream: true },
        );
        return;
      }
      const message = toBinary(service.response, fromJson(service.response, answer, { registry }));
      const framed = Buffer.alloc(5 + message.length);
      framed.writeUInt32BE(message.length, 1);
      framed.set(message, 5);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(framed);
    });
  });
  return server;
}
