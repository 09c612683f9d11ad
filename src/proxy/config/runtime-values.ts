/**
 * Envoy's runtime: values that operators change while the proxy runs (Envoy: layered_runtime, POST /runtime_modify). Whoever
 * has a `runtime_key` asks each time; a key without a value costs one look-up.
 */
import {
  type LayeredRuntime,
  LayeredRuntimeSchema,
  type RuntimeLayer,
} from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { type Field, words } from './field.ts';

interface Layer {
  readonly name: string;
  readonly values: Map<string, string>;
}

/** Overrides by hand beyond this are refused. */
const maxOverrides = 1000;

const denominators: Readonly<Record<string, number>> = { HUNDRED: 10_000, TEN_THOUSAND: 100, MILLION: 1 };

export class RuntimeValues {
  #layers: readonly Layer[] = [];
  /** The layer that POST /runtime_modify changes; null when the file has none. */
  #admin: Layer | null = null;
  #merged = new Map<string, string>();
  /** Told of all values after each change. */
  onChange: ((values: ReadonlyMap<string, string>) => void) | null = null;

  set(layers: readonly Layer[], admin: Layer | null): void {
    this.#layers = layers;
    this.#admin = admin;
    this.#merge();
  }

  #merge(): void {
    this.#merged = new Map(this.#layers.flatMap(({ values }) => [...values]));
    this.onChange?.(this.#merged);
  }

  /** A whole number; `fallback` when the key has none. */
  number(key: string, fallback: number): number {
    const value = key === '' ? undefined : this.#merged.get(key);
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : fallback;
  }

  /** A share in millionths: a whole number is per cent, an object a FractionalPercent. */
  millionths(key: string, fallback: number): number {
    const value = key === '' ? undefined : this.#merged.get(key);
    if (value === undefined) return fallback;
    if (/^\d{1,9}$/.test(value)) return Math.min(1_000_000, Number(value) * 10_000);
    try {
      const { numerator = 0, denominator = 'HUNDRED' } = JSON.parse(value) as {
        numerator?: number;
        denominator?: string;
      };
      return Math.min(1_000_000, numerator * (denominators[denominator] ?? 10_000));
    } catch {
      return fallback;
    }
  }

  /** `''` takes an override away. What is wrong with it, or null. */
  override(changes: Iterable<readonly [key: string, value: string]>): string | null {
    if (this.#admin === null) return 'No admin layer specified';
    for (const [key, value] of changes) {
      if (value === '') this.#admin.values.delete(key);
      else if (this.#admin.values.size >= maxOverrides) return 'too many overrides';
      else this.#admin.values.set(key, value);
    }
    this.#merge();
    return null;
  }

  /** As /runtime shows it. */
  get shown(): object {
    const entries = [...this.#merged]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => {
        const each = this.#layers.map(({ values }) => values.get(key) ?? '');
        return [key, { layer_values: each, final_value: value }];
      });
    return { layers: this.#layers.map(({ name }) => name), entries: Object.fromEntries(entries) };
  }

  get values(): ReadonlyMap<string, string> {
    return this.#merged;
  }

  get keys(): number {
    return this.#merged.size;
  }

  get layers(): number {
    return this.#layers.length;
  }

  get overrides(): number {
    return this.#admin?.values.size ?? 0;
  }
}

/** The values of this thread. */
export const runtimeValues: RuntimeValues = new RuntimeValues();

/** Puts the file's layers into `values`; layers that come from elsewhere are refused. */
export function compileRuntime(field: Field, message: LayeredRuntime | undefined, values: RuntimeValues): void {
  if (message) field.only(LayeredRuntimeSchema, message, words('layers'));
  let admin: Layer | null = null;
  const layers = (message?.layers ?? []).map((layer, i): Layer => {
    const made = compileLayer(field.at('layers', i), layer);
    if (layer.layerSpecifier.case === 'adminLayer') admin = made;
    return made;
  });
  values.set(layers, admin);
}

function compileLayer(field: Field, { name, layerSpecifier: given }: RuntimeLayer): Layer {
  const values = new Map<string, string>();
  if (name === '') field.at('name').fail('is empty');
  if (given.case === 'staticLayer') flatten('', given.value, values);
  else if (given.case !== 'adminLayer')
    field.fail(`${given.case ?? 'nothing'} is not supported; give static_layer or admin_layer`);
  return { name, values };
}

/** Nested objects become keys with dots; one that is a FractionalPercent is a value. */
function flatten(prefix: string, struct: Readonly<Record<string, unknown>>, values: Map<string, string>): void {
  for (const [name, value] of Object.entries(struct)) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (typeof value !== 'object' || value === null) values.set(key, String(value));
    else if ('numerator' in value || 'denominator' in value) values.set(key, JSON.stringify(value));
    else if (!Array.isArray(value)) flatten(key, value as Record<string, unknown>, values);
  }
}
