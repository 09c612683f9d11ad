/** Authorization over gRPC (Envoy: service.auth.v3.Authorization). */
import type { HeaderValueOption } from '../../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { CheckResponse } from '../../../xds/gen/envoy/service/auth/v3/external_auth_pb.js';
import type { ExtAuthzFilter, GrpcTarget, Metadata } from '../../config/table.ts';
import type { Address } from '../../net/connection.ts';
import { output } from '../../net/output.ts';
import { callGrpc } from '../../upstream/grpc-call.ts';
import type { SideCall } from '../../upstream/side-call.ts';
import { failed, type HeaderAction, type HeaderChange, type Question, type Verdict } from './authz-verdict.ts';

const path = '/envoy.service.auth.v3.Authorization/Check';

const messages = () =>
  Promise.all([import('@bufbuild/protobuf'), import('../../../xds/gen/envoy/service/auth/v3/external_auth_pb.js')]);

/** Asks. `started` is told of the call, for who may have to cancel it. */
export async function askGrpc(
  target: GrpcTarget,
  filter: ExtAuthzFilter,
  question: Question,
  started: (call: SideCall) => void,
): Promise<Verdict> {
  const [{ create, fromBinary, toBinary }, { CheckRequestSchema, CheckResponseSchema }] = await messages();
  const message = toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: attributesOf(filter, question) }),
  );
  return new Promise((resolve) => {
    output.turn(() =>
      started(
        callGrpc(question.exchange.plane.pool(target.cluster), { ...target, path, message }, (outcome) => {
          try {
            resolve(outcome.message === null ? failed : verdictOf(fromBinary(CheckResponseSchema, outcome.message)));
          } catch {
            resolve(failed);
          }
        }),
      ),
    );
  });
}

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString();

function attributesOf(filter: ExtAuthzFilter, { exchange, headers, body, size, partial, context }: Question) {
  const { connection, route } = exchange;
  const { peer } = connection;
  const all = body === null ? headers : [...headers, ['x-envoy-auth-partial-body', String(partial)] as const];
  const bodyText = body === null || filter.body?.asBytes ? '' : body.toString();
  return {
    source: {
      address: socketAddress(connection.remote),
      principal: peer === null ? '' : (peer.uriSans[0] ?? peer.dnsSans[0] ?? peer.subject),
      service: exchange.header('x-envoy-downstream-service-cluster') ?? '',
    },
    destination: { address: socketAddress(connection.local), principal: connection.ownPrincipal },
    request: {
      time: {
        seconds: BigInt(Math.floor(exchange.startedAtMs / 1000)),
        nanos: Math.floor((exchange.startedAtMs % 1000) * 1e6),
      },
      http: {
        id: exchange.header('x-request-id') ?? '',
        method: exchange.method,
        path: exchange.path,
        host: exchange.authority,
        scheme: exchange.scheme,
        size: BigInt(size),
        protocol: exchange.protocol,
        body: bodyText,
        ...(body !== null && filter.body?.asBytes && { rawBody: body }),
        ...(filter.rawHeaders
          ? { headerMap: { headers: all.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) } }
          : { headers: joined(all) }),
      },
    },
    contextExtensions: { ...context },
    metadataContext: { filterMetadata: chosen(exchange.dynamicMetadata, filter.metadata) },
    routeMetadataContext: { filterMetadata: chosen(route?.metadata ?? null, filter.routeMetadata) },
    ...(filter.tellsTls && connection.tls && { tlsSession: { sni: connection.sni } }),
  };
}

function chosen(metadata: Metadata | null, names: readonly string[]) {
  return Object.fromEntries(names.flatMap((name) => (metadata?.[name] ? [[name, metadata[name] as never]] : [])));
}

function socketAddress({ ip, port }: Address) {
  return {
    address: {
      case: 'socketAddress' as const,
      value: { address: ip, portSpecifier: { case: 'portValue' as const, value: port } },
    },
  };
}

/** Several values of a name in one, since the message holds a map. */
function joined(headers: Question['headers']): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [name, value] of headers)
    map[name] = Object.hasOwn(map, name) ? `${map[name]},${utf8(value)}` : utf8(value);
  return map;
}

const actions: readonly HeaderAction[] = ['append', 'addIfAbsent', 'overwrite', 'overwriteIfExists'];

/** Of the request; `append` alone counts. */
const requestAction = ({ append }: HeaderValueOption): HeaderAction => (append ? 'joinIfExists' : 'overwrite');

const responseAction = ({ append, appendAction }: HeaderValueOption): HeaderAction =>
  append === undefined ? (actions[appendAction] ?? 'append') : append ? 'append' : 'overwrite';

function changes(
  options: readonly HeaderValueOption[],
  action: (option: HeaderValueOption) => HeaderAction,
): HeaderChange[] {
  return options.map((option) => ({
    name: option.header?.key.toLowerCase() ?? '',
    value: option.header?.rawValue.length
      ? Buffer.from(option.header.rawValue).toString('latin1')
      : latin1(option.header?.value ?? ''),
    action: action(option),
  }));
}

function verdictOf({ status, httpResponse: response, dynamicMetadata }: CheckResponse): Verdict {
  const metadata = dynamicMetadata ?? null;
  if ((status?.code ?? 0) === 0) {
    const ok = response.case === 'okResponse' ? response.value : null;
    return {
      kind: 'allowed',
      request: changes(ok?.headers ?? [], requestAction),
      remove: ok?.headersToRemove.map((name) => name.toLowerCase()) ?? [],
      response: changes(ok?.responseHeadersToAdd ?? [], responseAction),
      setQuery: ok?.queryParametersToSet.map(({ key, value }) => [key, value] as const) ?? [],
      removeQuery: ok?.queryParametersToRemove ?? [],
      metadata: ok?.dynamicMetadata ?? metadata,
    };
  }
  const denied = response.case === 'deniedResponse' ? response.value : null;
  return {
    kind: 'denied',
    status: denied?.status?.code || 403,
    body: denied?.body ?? '',
    response: changes(denied?.headers ?? [], responseAction),
    metadata,
  };
}
