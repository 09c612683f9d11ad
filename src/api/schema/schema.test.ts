import test from 'ava';
import fc from 'fast-check';
import { Findings } from './findings.ts';
import { openApiOf } from './openapi.ts';
import { formatPath, parsePath } from './problem.ts';
import {
  anything,
  array,
  boolean,
  double,
  enumOf,
  type Infer,
  int32,
  integer,
  intOrString,
  map,
  type Node,
  nullable,
  object,
  required,
  ruled,
  string,
  uint32,
} from './schema.ts';
import { validatorOf } from './validator.ts';

function problemsOf(node: Node, value: unknown): string[] {
  const findings = new Findings();
  validatorOf(node)(value, findings);
  const { errors, warnings } = findings.result();
  return [...errors, ...warnings].map(({ path, message }) => `${path}: ${message}`);
}

const server = object(
  {
    name: required(string({ minLength: 1, maxLength: 5, pattern: '^[a-z]+$' })),
    port: uint32({ maximum: 65_535 }),
    weight: int32(),
    share: nullable(double({ minimum: 0, maximum: 1 })),
    tls: object({ file: string(), secret: string(), none: boolean() }, { oneOf: [['file', 'secret']] }),
    mode: enumOf(['SIMPLE', 'MUTUAL']),
    labels: map(string(), { maxProperties: 2 }),
    target: intOrString(),
    since: string({ format: 'date-time' }),
    body: string({ format: 'byte' }),
    extra: anything(),
    hosts: array(string(), { minItems: 1, maxItems: 3 }),
    ports: array(object({ name: required(string()), number: integer() }), { listMapKeys: ['name'] }),
    open: object({ known: string() }, { unlisted: 'warn' }),
    kept: object({ known: string() }, { unlisted: 'keep' }),
  },
  {
    cel: [{ rule: 'has(self.port)', message: 'needs a port', holds: ({ port }) => port !== undefined }],
    rules: [
      ({ name, weight }, report) => {
        if (weight === 0) report.warning(['weight'], `gives ${name} nothing`);
      },
    ],
  },
);

const sound: Infer<typeof server> = { name: 'a', port: 80 };

const cases: Array<[string, unknown, string[]]> = [
  ['sound', sound, []],
  [
    'every field',
    {
      ...sound,
      weight: -1,
      share: null,
      tls: { file: 'f' },
      mode: 'MUTUAL',
      labels: { a: 'b' },
      target: 'http',
      since: '2026-01-31T12:00:00.5Z',
      body: 'aGk=',
      extra: [{}],
      hosts: ['h'],
      ports: [{ name: 'x' }, { name: 'y' }],
      open: { known: 'k' },
      kept: { other: 1 },
    },
    [],
  ],
  ['absent by undefined', { ...sound, mode: undefined }, []],
  ['not an object', [], [': must be an object, is a list']],
  ['null', null, [': must be an object, is null']],
  ['missing', { port: 1 }, ['name: is required']],
  ['null where none may be', { ...sound, weight: null }, ['weight: must be an integer, is null']],
  ['empty', { ...sound, name: '' }, ['name: must not be empty']],
  ['long', { ...sound, name: 'abcdef' }, ['name: must have at most 5 characters, has 6']],
  ['pattern', { ...sound, name: 'A' }, ['name: must match ^[a-z]+$, is "A"']],
  ['type of a string', { ...sound, name: 5 }, ['name: must be a string, is the number 5']],
  ['too small', { ...sound, port: -1 }, ['port: must be at least 0, is -1']],
  ['too large', { ...sound, port: 70_000 }, ['port: must be at most 65535, is 70000']],
  ['fraction', { ...sound, port: 1.5 }, ['port: must be an integer, is the number 1.5']],
  ['beyond int32', { ...sound, weight: 2 ** 31 }, ['weight: must be at most 2147483647, is 2147483648']],
  ['not finite', { ...sound, share: Number.NaN }, ['share: must be a number, is the number null']],
  ['choice', { ...sound, mode: 'MUTAL' }, ['mode: must be one of SIMPLE, MUTUAL, is "MUTAL"; did you mean "MUTUAL"?']],
  [
    'one of',
    { ...sound, tls: { file: 'f', secret: 's' } },
    ['tls.secret: cannot be set together with file; choose one of file, secret'],
  ],
  ['unknown', { ...sound, prot: 1 }, ['prot: is not a known field']],
  ['unknown and near', { ...sound, hots: ['a'] }, ['hots: is not a known field; did you mean "hosts"?']],
  ['unlisted', { ...sound, open: { other: 1 } }, ['open.other: is kept but not used']],
  ['map value', { ...sound, labels: { 'a/b': 1 } }, ['labels["a/b"]: must be a string, is the number 1']],
  ['map size', { ...sound, labels: { a: '', b: '', c: '' } }, ['labels: must have at most 2 entries, has 3']],
  ['int or string', { ...sound, target: 1.5 }, ['target: must be an integer or a string, is the number 1.5']],
  ['time', { ...sound, since: 'yesterday' }, ['since: must be a time such as 2026-01-31T12:00:00Z, is "yesterday"']],
  ['base64', { ...sound, body: 'a' }, ['body: must be base64 text that is not empty, is "a"']],
  ['empty list', { ...sound, hosts: [] }, ['hosts: must not be empty']],
  ['long list', { ...sound, hosts: ['', '', '', ''] }, ['hosts: must have at most 3 entries, has 4']],
  ['list entry', { ...sound, hosts: ['', 1] }, ['hosts[1]: must be a string, is the number 1']],
  [
    'keys twice',
    { ...sound, ports: [{ name: 'x' }, { name: 'x' }] },
    ['ports[1].name: "x" is used before, by entry 0'],
  ],
  ['cel', { name: 'a' }, [': needs a port']],
  ['rule', { ...sound, weight: 0 }, ['weight: gives a nothing']],
  [
    'all at once',
    { port: 'x', mode: 1, hosts: [1] },
    [
      'port: must be an integer, is the string "x"',
      'mode: must be one of SIMPLE, MUTUAL, is the number 1',
      'hosts[0]: must be a string, is the number 1',
      'name: is required',
    ],
  ],
];

for (const [title, value, problems] of cases) test(title, (t) => t.deepEqual(problemsOf(server, value), problems));

test('rules see only values of the right shape', (t) => {
  const touchy = ruled(object({ list: required(array(string())) }), ({ list }, report) => {
    if (list.map((text) => text.length).includes(0)) report.error(['list'], 'has an empty text');
  });
  t.deepEqual(problemsOf(touchy, { list: [1] }), ['list[0]: must be a string, is the number 1']);
  t.deepEqual(problemsOf(touchy, { list: [''] }), ['list: has an empty text']);
});

test('shows a hundred problems and counts the rest', (t) => {
  const findings = new Findings();
  validatorOf(array(string()))(new Array(250).fill(0), findings);
  const { errors, warnings } = findings.result();
  t.is(errors.length, 100);
  t.is(warnings[0].message, '150 more problems are not shown');
});

test('paths in JSON notation read back', (t) => {
  const segment = fc.oneof(
    fc.nat(1000),
    fc.string({ minLength: 1 }).filter((text) => !/^\d+$/.test(text)),
  );
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 6 }), (path) => {
      t.deepEqual(parsePath(formatPath(path)), path);
    }),
  );
});

test('the schema for the API server', (t) => {
  const node = object(
    {
      host: required(string({ maxLength: 3, description: 'Where to' })),
      share: nullable(double({ minimum: 0 })),
      exact: string(),
      prefix: string(),
      mode: enumOf(['A', 'B']),
      target: intOrString(),
      ports: array(object({ name: required(string()) }), { maxItems: 2, listMapKeys: ['name'] }),
      labels: map(uint32(), { maxProperties: 2 }),
      open: object({}, { unlisted: 'warn' }),
      extra: anything(),
    },
    {
      oneOf: [['exact', 'prefix']],
      cel: [{ rule: 'has(self.mode)', message: 'needs a mode', holds: ({ mode }) => mode !== undefined }],
    },
  );
  t.deepEqual(openApiOf(node), {
    type: 'object',
    properties: {
      host: { type: 'string', maxLength: 3, description: 'Where to' },
      share: { type: 'number', format: 'double', minimum: 0, nullable: true },
      exact: { type: 'string' },
      prefix: { type: 'string' },
      mode: { type: 'string', enum: ['A', 'B'] },
      target: { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true },
      ports: {
        type: 'array',
        items: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        maxItems: 2,
        'x-kubernetes-list-map-keys': ['name'],
        'x-kubernetes-list-type': 'map',
      },
      labels: {
        type: 'object',
        additionalProperties: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
        maxProperties: 2,
      },
      open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      extra: { 'x-kubernetes-preserve-unknown-fields': true },
    },
    required: ['host'],
    oneOf: [
      { not: { anyOf: [{ required: ['exact'] }, { required: ['prefix'] }] } },
      { required: ['exact'] },
      { required: ['prefix'] },
    ],
    'x-kubernetes-validations': [{ message: 'needs a mode', rule: 'has(self.mode)' }],
  });
});

test('two groups of alternatives are both stated', (t) => {
  const node = object(
    { a: string(), b: string(), c: string(), d: string() },
    {
      oneOf: [
        ['a', 'b'],
        ['c', 'd'],
      ],
    },
  );
  t.is((openApiOf(node).allOf as unknown[]).length, 2);
});
