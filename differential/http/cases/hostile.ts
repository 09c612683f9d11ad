/** Requests that try to be taken for another: what each proxy answers, and what the backend sees of them. */
import { hostilePaths, hostileRequests } from '../../../src/proxy/testing/hostile-http1.ts';
import { direct, extension, get, type HttpCase, prefix, to } from '../case.ts';

const pathOptions: ReadonlyArray<readonly [name: string, manager: object]> = [
  ['as they came', {}],
  ['normalised', { normalize_path: true }],
  [
    'normalised, slashes merged, escaped ones unescaped',
    { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD' },
  ],
  [
    'normalised, escaped slashes refused',
    { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'REJECT_REQUEST' },
  ],
];

const refused =
  'refused here, as RFC 9112 allows: what is read in two ways by two servers is how one request becomes two';

/** Where this proxy is stricter. */
const stricter = new Map<string, string>([
  ['a folded line', 'obs-fold is refused here, as RFC 9112 §5.2 asks of servers'],
  ['two Hosts', 'refused here, as RFC 9112 §3.2 demands'],
  ['a Host with a user', 'refused here: RFC 9110 §4.2.4 takes userinfo for an error'],
  ['bare LF everywhere', refused],
  ['bare LF at the end of the head', refused],
  ['CR in a value', refused],
  ['CR alone at the end of a line', refused],
  ['length "0000000000000000000000000005"', refused],
  ['line "GET  /first HTTP/1.1"', refused],
  ['line "GET /first  HTTP/1.1"', refused],
  ['line "GET\\t/first\\tHTTP/1.1"', refused],
  ['line "GET /first HTTP/1.1 "', refused],
  ['line "GET /first"', 'there is no HTTP/0.9 here: 400 instead of 426'],
  ['line "GET /first HTTP/1.2"', 'no version that was ever defined: 400 instead of 426'],
  ['line "GET /first HTTP/2.0"', 'no version of this syntax: 400 instead of 426'],
  ['line "GET /first HTTP/0.9"', 'no version of this syntax: 400 instead of 426'],
  ['line "PRI * HTTP/2.0"', 'half of the preface of HTTP/2 is answered as the request that it is not'],
  ['Connection names the length', 'a length that Connection names still frames the message that is sent on'],
  ['a chunk size of zeros', refused],
  ['a space behind a chunk size', refused],
  ['a chunk without its end', refused],
  ['a chunk whose end is a bare LF', refused],
  ['a trailer that frames', refused],
]);

export const hostile: readonly HttpCase[] = [
  ...hostileRequests.map(({ name, bytes }): HttpCase => {
    const why = stricter.get(name);
    return {
      name: `hostile: ${name}`,
      requests: [bytes],
      lingers: true,
      ...(why !== undefined && { differs: { parts: ['status', 'headers', 'body', 'upstream'], why } }),
    };
  }),
  ...pathOptions.map(
    ([name, manager]): HttpCase => ({
      name: `hostile paths, ${name}`,
      manager: manager as never,
      filters: [
        extension('rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', {
          rules: {
            action: 'DENY',
            policies: {
              admin: {
                permissions: [{ url_path: { path: { prefix: '/admin' } } }],
                principals: [{ any: true }],
              },
            },
          },
        }),
      ],
      routes: [prefix('/admin', direct(200, 'the door was open')), prefix('/', to('a'))],
      requests: hostilePaths.map((path) => get(path)),
    }),
  ),
];
