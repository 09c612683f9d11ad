import { type Row, table } from '../testing/validation-table.ts';

const rows: Row[] = [
  ['logs of the mesh', { accessLogging: [{ providers: [{ name: 'envoy' }] }] }, []],
  [
    'metrics without a tag',
    {
      metrics: [
        { overrides: [{ match: { metric: 'REQUEST_COUNT' }, tagOverrides: { source_app: { operation: 'REMOVE' } } }] },
      ],
    },
    [],
  ],
  [
    'a tag without its value',
    { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'UPSERT' } } }] }] },
    ['metrics[0].overrides[0].tagOverrides.a: needs a value for operation UPSERT'],
  ],
  [
    'two providers of traces',
    { tracing: [{ providers: [{ name: 'a' }, { name: 'b' }] }] },
    ['tracing[0].providers: can name one: traces go to one provider'],
  ],
  [
    'a tag from nowhere',
    { tracing: [{ customTags: { a: {} } }] },
    ['tracing[0].customTags.a: needs one of literal, environment, header and formatter'],
  ],
  [
    'sampling out of range',
    { tracing: [{ randomSamplingPercentage: 101 }] },
    ['tracing[0].randomSamplingPercentage: must be at most 100, is 101'],
  ],
];
table('telemetry.istio.io/v1', 'Telemetry', rows);
