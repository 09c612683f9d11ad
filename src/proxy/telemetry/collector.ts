import type { TraceProvider } from '../config/table.ts';
import type { Plane } from '../http/plane.ts';
import { output } from '../net/output.ts';
import { callGrpc } from '../upstream/grpc-call.ts';
import { SideCall } from '../upstream/side-call.ts';

const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/**
 * Brings a batch to a collector over its cluster's connections: one POST, or one gRPC call. Rejects when the collector cannot be
 * reached, refuses, or does not answer in time.
 */
export function deliver(plane: Plane, provider: TraceProvider, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    output.turn(() => {
      if (provider.protocol === 'grpc')
        callGrpc(
          plane.pool(provider.cluster),
          { ...provider, path: exportPath, fields: provider.headers, message: body },
          ({ status, text }) =>
            status === 0 ? resolve() : reject(new Error(`the collector answered ${status} ${text}`)),
        );
      else post(plane, provider, body, resolve, reject);
    }),
  );
}

function post(
  plane: Plane,
  { cluster, authority, path, timeoutMs, kind, headers }: TraceProvider,
  body: Buffer,
  resolve: () => void,
  reject: (error: Error) => void,
): void {
  new SideCall(
    {
      method: 'POST',
      authority,
      path,
      timeoutMs,
      fields: [
        ['content-type', kind === 'zipkin' ? 'application/json' : 'application/x-protobuf'],
        ['user-agent', 'lateen'],
        ...headers,
      ],
      body,
      maxBodyBytes: 65_536,
    },
    (answer, failure) => {
      if (answer === null) reject(new Error(failure!.kind === 'reset' ? failure!.reason : failure!.kind));
      else if (answer.status < 300) resolve();
      else reject(new Error(`the collector answered ${answer.status}`));
    },
  ).start(plane.pool(cluster));
}
