/** gRPC status codes (gRPC core documentation, "Status codes and their use in gRPC"). */
export const grpcCodes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Every code's name as configuration and logs write it, in the order of their numbers (gRPC: statuscodes.md). */
export const grpcStatusNames: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

export type GrpcCodeName = keyof typeof grpcCodes;

const names = new Map<number, GrpcCodeName>(
  Object.entries(grpcCodes).map(([name, code]) => [code, name as GrpcCodeName]),
);

/** How a call failed. Only `message` travels to the other side. */
export class GrpcError extends Error {
  readonly code: GrpcCodeName;

  constructor(code: GrpcCodeName, message: string) {
    super(message);
    this.name = 'GrpcError';
    this.code = code;
  }
}

export const codeOf = (status: string | undefined): GrpcCodeName => names.get(Number(status)) ?? 'unknown';

/** The status that stands for an HTTP answer without a gRPC status (gRPC documentation, "HTTP to gRPC Status Code Mapping"). */
export function codeOfHttpStatus(status: number): GrpcCodeName {
  if (status === 400) return 'internal';
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'permissionDenied';
  if (status === 404) return 'unimplemented';
  return status === 429 || (status >= 502 && status <= 504) ? 'unavailable' : 'unknown';
}

/** `grpc-message` holds printable ASCII, the rest percent-encoded (gRPC over HTTP/2, "Percent-Byte-Encoded"). */
export function encodeGrpcMessage(message: string): string {
  return Buffer.from(message).reduce(
    (text, byte) =>
      text +
      (byte < 0x20 || byte > 0x7e || byte === 0x25
        ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
        : String.fromCharCode(byte)),
    '',
  );
}

export function decodeGrpcMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
