import { isFieldSet } from '@bufbuild/protobuf';
import type { Http1ProtocolOptions } from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import { Http1ProtocolOptionsSchema } from '../../xds/gen/envoy/config/core/v3/protocol_pb.js';
import type { Field } from './field.ts';

/** Refuses what is asked of HTTP/1 beyond `known`. What is asked for by `false`, this proxy does not do anyway. */
export function checkHttp1Options(field: Field, options: Http1ProtocolOptions, known: ReadonlySet<string>): void {
  for (const one of Http1ProtocolOptionsSchema.fields) {
    const value = options[one.localName as keyof Http1ProtocolOptions];
    if (!known.has(one.name) && isFieldSet(options, one) && (value as unknown) !== false)
      field.at(one.name).fail('is not supported');
  }
}
