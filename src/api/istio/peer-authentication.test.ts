import { type Row, table } from '../testing/validation-table.ts';

const selector = { matchLabels: { app: 'a' } };

const rows: Row[] = [
  ['nothing', {}, []],
  ['strict', { mtls: { mode: 'STRICT' } }, []],
  ['by port', { selector, portLevelMtls: { 8080: { mode: 'DISABLE' } } }, []],
  [
    'mode',
    { mtls: { mode: 'strict' } },
    ['mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT, is "strict"; did you mean "STRICT"?'],
  ],
  ['by port for everyone', { portLevelMtls: { 8080: {} } }, [': portLevelMtls needs a selector with labels']],
  ['by no port', { selector, portLevelMtls: {} }, ['portLevelMtls: must not be empty']],
  [
    'by what is no port',
    { selector, portLevelMtls: { http: {}, 70000: {} } },
    ['portLevelMtls: must have ports, 1–65535, as its keys'],
  ],
  [
    'empty selector',
    { selector: {} },
    ['warning selector: has no labels and so selects every workload of the namespace'],
  ],
];

table('security.istio.io/v1beta1', 'PeerAuthentication', rows);
