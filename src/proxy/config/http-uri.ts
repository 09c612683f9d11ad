import type { HttpUri } from '../../xds/gen/envoy/config/core/v3/http_uri_pb.js';
import { durationMs, type Field } from './field.ts';

/** Where a request of the proxy's own goes (Envoy: core.v3.HttpUri). */
export function compileHttpUri(field: Field, message: HttpUri | undefined) {
  const found = /^https?:\/\/([^/?#]+)([^#]*)$/.exec(message?.uri ?? '');
  if (found === null) field.at('uri').fail(`${JSON.stringify(message?.uri ?? '')} is no http or https URI`);
  const cluster = message?.httpUpstreamType.value ?? '';
  if (cluster === '') field.at('cluster').fail('is empty');
  const [, authority = '', rest = ''] = found ?? [];
  return {
    cluster,
    authority,
    path: rest.startsWith('/') ? rest : `/${rest}`,
    timeoutMs: durationMs(message?.timeout, 0),
  };
}
