import { type Row, table } from '../testing/validation-table.ts';

const plugins: Row[] = [
  ['an image', { url: 'ghcr.io/istio/basic-auth:1.0', phase: 'AUTHN', pluginConfig: { rules: [{ a: 1 }] } }, []],
  ['an image with its scheme', { url: 'oci://ghcr.io/istio/basic-auth:1.0' }, []],
  ['nothing', {}, ['url: is required']],
  [
    'a scheme that is none',
    { url: 'ftp://a/b.wasm' },
    ['url: must be an image, or a URL of http, https, file or oci, is "ftp://a/b.wasm"'],
  ],
  [
    'a value from the host',
    { url: 'a', vmConfig: { env: [{ name: 'A', valueFrom: 'HOST', value: 'b' }] } },
    ['vmConfig.env[0]: value cannot be set for valueFrom HOST'],
  ],
];
table('extensions.istio.io/v1alpha1', 'WasmPlugin', plugins);

const extensions: Row[] = [
  ['Lua', { lua: { inlineCode: 'function envoy_on_request(h) end' } }, []],
  ['neither', {}, [': needs either wasm or lua']],
  [
    'both',
    { lua: { inlineCode: 'a' }, wasm: { url: 'a' } },
    ['lua: cannot be set together with wasm; choose one of wasm, lua', ': needs either wasm or lua'],
  ],
];
table('extensions.istio.io/v1alpha1', 'TrafficExtension', extensions);
