import type { SubstitutionFormatString } from '../../xds/gen/envoy/config/core/v3/substitution_format_string_pb.js';
import {
  type LocalReplyConfig,
  LocalReplyConfigSchema,
  ResponseMapperSchema,
} from '../../xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { compileSubstitution } from './access-log.ts';
import { compileLogFilter } from './access-log-filter.ts';
import { readData } from './data-source.ts';
import { type Field, words } from './field.ts';
import { compileMutation } from './header-mutation.ts';
import type { LocalReplies, ReplyFormat } from './table.ts';

const knownMapper = words('filter status_code body body_format_override headers_to_add');

/** Null when answers of the proxy's own are sent as they are. */
export function compileLocalReplies(field: Field, message: LocalReplyConfig | undefined): LocalReplies | null {
  if (!message) return null;
  field.only(LocalReplyConfigSchema, message, words('mappers body_format'));
  return {
    format: compileFormat(field.at('body_format'), message.bodyFormat),
    mappers: message.mappers.map((mapper, i) => {
      const at = field.at('mappers', i);
      at.only(ResponseMapperSchema, mapper, knownMapper);
      if (!mapper.filter) at.at('filter').fail('is missing');
      if (mapper.statusCode !== undefined && (mapper.statusCode < 200 || mapper.statusCode > 599))
        at.at('status_code').fail(`${mapper.statusCode} is not between 200 and 599`);
      return {
        filter: mapper.filter ? compileLogFilter(at.at('filter'), mapper.filter) : () => false,
        status: mapper.statusCode ?? null,
        body: mapper.body ? readData(at.at('body'), mapper.body).toString() : null,
        headers: compileMutation(at, 'response_headers', mapper.headersToAdd, []),
        format: compileFormat(at.at('body_format_override'), mapper.bodyFormatOverride),
      };
    }),
  };
}

function compileFormat(field: Field, message: SubstitutionFormatString | undefined): ReplyFormat | null {
  if (!message) return null;
  const inJson = message.format.case === 'jsonFormat';
  return {
    text: compileSubstitution(field, message),
    contentType: message.contentType || (inJson ? 'application/json' : 'text/plain'),
  };
}
