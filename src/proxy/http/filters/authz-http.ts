/** Authorization over HTTP: the service gets the request's head, and its status decides (Envoy: ext_authz.v3.HttpService). */
import type { StringMatch } from '../../config/match.ts';
import type { AuthzService } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import { internalFields, SideCall } from '../../upstream/side-call.ts';
import { failed, type HeaderAction, type HeaderChange, type Question, type Verdict } from './authz-verdict.ts';

type HttpAuthz = Extract<AuthzService, { kind: 'http' }>;

const maxBodyBytes = 1 << 20;
/** Of the answer itself, not of the request or response that it speaks of. */
const ofAnswer = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'x-envoy-upstream-service-time',
  'date',
  'server',
]);
/** Always passed on with a refusal (Envoy: allowed_client_headers). */
const always = new Set([
  'content-length',
  'content-type',
  'www-authenticate',
  'location',
  'proxy-authenticate',
  'set-cookie',
]);

export function askHttp(
  service: HttpAuthz,
  { exchange, headers, body, partial }: Question,
  started: (call: SideCall) => void,
): Promise<Verdict> {
  const added = new Set(service.add.map(([name]) => name));
  const fields = headers.filter(([name]) => !name.startsWith(':') && name !== 'content-length' && !added.has(name));
  if (body !== null) fields.push(['x-envoy-auth-partial-body', String(partial)]);
  return new Promise((resolve) => {
    output.turn(() => {
      const call = new SideCall(
        {
          method: exchange.method,
          authority: exchange.authority,
          path: `${service.pathPrefix}${exchange.path}`,
          fields: [...fields, ...service.add, ...internalFields(service.timeoutMs)],
          body: body ?? Buffer.alloc(0),
          timeoutMs: service.timeoutMs,
          maxBodyBytes,
        },
        (answer) => {
          // A service that fails has not refused.
          if (answer === null || answer.status >= 500) resolve(failed);
          else if (answer.status === 200) resolve(allowed(service, answer.fields));
          else resolve(denied(service, answer.status, answer.fields, answer.body));
        },
      );
      started(call);
      call.start(exchange.plane.pool(service.cluster));
    });
  });
}

const matches = (matchers: readonly StringMatch[], name: string): boolean => matchers.some(({ test }) => test(name));

type Fields = ReadonlyArray<readonly [name: string, value: string]>;

const changed = (fields: Fields, action: HeaderAction, takes: (name: string) => boolean): HeaderChange[] =>
  fields.filter(([name]) => !ofAnswer.has(name) && takes(name)).map(([name, value]) => ({ name, value, action }));

function allowed(service: HttpAuthz, fields: Fields): Verdict {
  const noted = fields.filter(([name]) => matches(service.metadataFrom, name));
  return {
    kind: 'allowed',
    request: [
      ...changed(fields, 'overwrite', (name) => matches(service.upstream, name)),
      ...changed(fields, 'appendIfExists', (name) => matches(service.upstreamAppended, name)),
    ],
    remove: fields
      .filter(([name]) => name === 'x-envoy-auth-headers-to-remove')
      .flatMap(([, value]) => value.split(',').map((name) => name.trim().toLowerCase()))
      .filter(Boolean),
    response: changed(fields, 'append', (name) => matches(service.clientOnSuccess, name)),
    setQuery: [],
    removeQuery: [],
    metadata: noted.length > 0 ? Object.fromEntries(noted) : null,
  };
}

function denied(service: HttpAuthz, status: number, fields: Fields, body: Buffer): Verdict {
  const { client } = service;
  return {
    kind: 'denied',
    status,
    body,
    response: changed(
      fields.filter(([name]) => name !== 'content-length'),
      'append',
      (name) => client === null || always.has(name) || matches(client, name),
    ),
    metadata: null,
  };
}
