import { readFileSync } from 'node:fs';
import type { DataSource } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import type { Field } from './field.ts';

/** The bytes that a DataSource stands for; empty, and a problem, when they cannot be had. */
export function readData(field: Field, source: DataSource | undefined): Buffer {
  const specifier = source?.specifier;
  switch (specifier?.case) {
    case 'inlineString':
      return Buffer.from(specifier.value);
    case 'inlineBytes':
      return Buffer.from(specifier.value);
    case 'filename':
      try {
        return readFileSync(specifier.value);
      } catch (error) {
        field.at('filename').fail((error as Error).message);
        return Buffer.alloc(0);
      }
    case 'environmentVariable': {
      const value = process.env[specifier.value];
      if (value === undefined) field.at('environment_variable').fail(`${specifier.value} is not set`);
      return Buffer.from(value ?? '');
    }
    default:
      return Buffer.alloc(0);
  }
}
