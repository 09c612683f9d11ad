import { grpcStatusNames } from '../../xds/grpc/status.ts';

const camel = (snake: string): string =>
  snake.toLowerCase().replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());

/** Envoy writes these two in its own way. */
const camelNames = grpcStatusNames.map((name) =>
  name === 'OK' ? 'OK' : name === 'CANCELLED' ? 'Canceled' : camel(name),
);

export const grpcSnakeName = (status: number): string => grpcStatusNames[status] ?? `${status}`;
export const grpcCamelName = (status: number): string => camelNames[status] ?? `${status}`;

/** What a response without grpc-status means to a gRPC caller (gRPC: http-grpc-status-mapping.md, as Envoy reads it). */
export function grpcStatusOfHttp(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** `application/grpc`, alone or with `+` and a format. */
export function isGrpcContentType(type: string | null): boolean {
  return type?.startsWith('application/grpc') === true && (type.length === 16 || type.charCodeAt(16) === 43);
}
