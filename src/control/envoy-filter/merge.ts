/** Merging of messages whose types are known at run time only, as protobuf's own `MergeFrom` does it. */
import { clone, type DescField, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Any, AnySchema, anyPack, anyUnpack, DurationSchema } from '@bufbuild/protobuf/wkt';
import { registry } from '../../xds/registry.ts';

/**
 * Merges `from` into `into`: what is set replaces, messages merge, lists grow (`replacesLists`: are replaced), maps gain. An `Any` merges with one of the
 * same type, since that is what a patch of a filter's `typed_config` means (istio.io/latest/docs/reference/config/networking/envoy-filter, MERGE). A
 * duration is one value: `0.5s` laid over `10s` is `0.5s` (Istio: pkg/proto/merge).
 */
export function mergeInto<D extends DescMessage>(
  schema: D,
  into: MessageShape<D>,
  from: MessageShape<D>,
  replacesLists = false,
): void {
  // A copy: what is taken over of it is patched further.
  merge(reflect(schema, into), reflect(schema, clone(schema, from)), replacesLists);
}

function merge(into: ReflectMessage, from: ReflectMessage, replacesLists: boolean): void {
  for (const field of from.fields) {
    if (!from.isSet(field)) continue;
    if (field.fieldKind === 'list') {
      if (replacesLists) into.clear(field);
      for (const item of from.get(field)) into.get(field).add(item as never);
    } else if (field.fieldKind === 'map') for (const [key, value] of from.get(field)) into.get(field).set(key, value);
    else if (field.fieldKind === 'message' && field.message.typeName !== DurationSchema.typeName && into.isSet(field))
      mergeMessage(into, from, field, replacesLists);
    else into.set(field, from.get(field));
  }
}

function mergeMessage(
  into: ReflectMessage,
  from: ReflectMessage,
  field: DescField & { fieldKind: 'message' },
  replacesLists: boolean,
): void {
  const [own, given] = [into.get(field), from.get(field)];
  if (field.message.typeName === AnySchema.typeName) {
    const merged = mergedAny(own.message as Any, given.message as Any, replacesLists);
    into.set(field, merged === null ? given : reflect(AnySchema, merged));
    return;
  }
  merge(own, given, replacesLists);
  into.set(field, own);
}

/** Null when they are of different types, or of one that is not known. */
function mergedAny(own: Any, given: Any, replacesLists: boolean): Any | null {
  if (own.typeUrl !== given.typeUrl) return null;
  const [ownMessage, givenMessage] = [anyUnpack(own, registry), anyUnpack(given, registry)];
  if (!ownMessage || !givenMessage) return null;
  const schema = registry.getMessage(ownMessage.$typeName);
  if (!schema) return null;
  mergeInto(schema, ownMessage, givenMessage, replacesLists);
  return anyPack(schema, ownMessage);
}
