import type { Any } from '@bufbuild/protobuf/wkt';
import { FilterConfigSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { CorsPolicySchema } from '../../xds/gen/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../xds/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { RBACPerRouteSchema } from '../../xds/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { compileCors } from './cors.ts';
import { compileFault } from './fault.ts';
import { type Field, messageName, unpack } from './field.ts';
import { compileRbac } from './rbac.ts';
import type { Cors, Fault, Rbac } from './table.ts';

/** What `typed_per_filter_config` of a level says; undefined where it says nothing. */
export interface PerFilter {
  fault?: Fault | null;
  cors?: Cors | null;
  rbac?: readonly Rbac[];
}

/** Reads a level and lays it over the less specific one. */
export function compilePerFilter(field: Field, config: { [name: string]: Any }, outer: PerFilter): PerFilter {
  let result = outer;
  for (const [name, any] of Object.entries(config)) {
    const at = field.at(`typed_per_filter_config[${JSON.stringify(name)}]`);
    result = { ...result, ...compileOne(at, any, name) };
  }
  return result;
}

function compileOne(field: Field, any: Any, name: string): PerFilter {
  switch (messageName(any)) {
    case HTTPFaultSchema.typeName: {
      const message = unpack(field, any, HTTPFaultSchema);
      return message ? { fault: compileFault(field, message) } : {};
    }
    case CorsPolicySchema.typeName: {
      const message = unpack(field, any, CorsPolicySchema);
      return message ? { cors: compileCors(field, message) } : {};
    }
    case RBACPerRouteSchema.typeName: {
      const message = unpack(field, any, RBACPerRouteSchema);
      if (!message) return {};
      const rbac = message.rbac ? compileRbac(field.at('rbac'), message.rbac) : null;
      return { rbac: rbac ? [rbac] : [] };
    }
    case FilterConfigSchema.typeName: {
      const message = unpack(field, any, FilterConfigSchema);
      if (message?.config) return compileOne(field.at('config'), message.config, name);
      if (message?.disabled)
        return name.includes('rbac') ? { rbac: [] } : name.includes('fault') ? { fault: null } : { cors: null };
      return {};
    }
    default:
      field.fail(`type ${messageName(any)} is not supported`);
      return {};
  }
}
