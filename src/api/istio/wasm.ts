/** What WasmPlugin and TrafficExtension share: where a module comes from, and which traffic it sees. */
import {
  anyObject,
  array,
  type CelRule,
  enumOf,
  int32,
  integer,
  nullable,
  object,
  required,
  string,
} from '../schema/schema.ts';
import { text } from './common.ts';

const schemes = ['', 'http', 'https', 'file', 'oci'];

/** Without a scheme it is an image's name. */
export function isModuleUrl(url: string): boolean {
  const scheme = /^([a-zA-Z][-+.a-zA-Z0-9]*):\/\//.exec(url)?.[1] ?? '';
  return schemes.includes(scheme.toLowerCase()) && URL.canParse(scheme === '' ? `http://${url}` : url);
}

const urlRule = (order: string): CelRule<string> => ({
  rule: `isURL(self) ? (url(self).getScheme() in ${order}) : (isURL("http://" + self) &&\nurl("http://" + self).getScheme() in ${order})`,
  message: 'must be an image, or a URL of http, https, file or oci',
  holds: isModuleUrl,
});

const environmentVariable = object(
  {
    name: required(string({ minLength: 1, maxLength: 256 })),
    value: string({ maxLength: 2048 }),
    valueFrom: enumOf(['INLINE', 'HOST']),
  },
  {
    cel: [
      {
        rule: '(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)',
        message: 'value cannot be set for valueFrom HOST',
        holds: ({ value, valueFrom }) => valueFrom !== 'HOST' || value === undefined,
      },
    ],
  },
);

/** `order`: of the schemes in the rule of the kind's own definition. */
export const wasmFields = (order: string) => ({
  failStrategy: enumOf(['FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD']),
  imagePullPolicy: enumOf(['UNSPECIFIED_POLICY', 'IfNotPresent', 'Always']),
  imagePullSecret: string({ minLength: 1, maxLength: 253 }),
  pluginConfig: anyObject(),
  pluginName: string({ minLength: 1, maxLength: 256 }),
  sha256: string({ pattern: '(^$|^[a-f0-9]{64}$)' }),
  type: enumOf(['UNSPECIFIED_PLUGIN_TYPE', 'HTTP', 'NETWORK']),
  url: required(string({ minLength: 1, cel: [urlRule(order)] })),
  verificationKey: text,
  vmConfig: object({ env: array(environmentVariable, { maxItems: 256, listMapKeys: ['name'] }) }),
});

export const priority = nullable(int32());

export const trafficMatch = array(
  object({
    mode: enumOf(['UNDEFINED', 'CLIENT', 'SERVER', 'CLIENT_AND_SERVER']),
    ports: array(object({ number: required(integer({ minimum: 1, maximum: 65_535 })) }), { listMapKeys: ['number'] }),
  }),
);
