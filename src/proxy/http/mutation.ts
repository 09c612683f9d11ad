import type { HeaderEdit } from '../codec/header-edit.ts';
import type { HeaderMutation } from '../config/table.ts';
import type { ActiveExchange } from './active-exchange.ts';

/** Applies one level's header changes: removals before additions, as Envoy does. `note` is told of every value set. */
export function mutate(
  mutation: HeaderMutation | null,
  edit: HeaderEdit,
  exchange: ActiveExchange,
  note: (exchange: ActiveExchange, name: string, value: string) => void,
): void {
  if (mutation === null) return;
  for (const name of mutation.remove) edit.remove(name);
  for (const { name, value, action, keepEmpty } of mutation.add) {
    const text = typeof value === 'string' ? value : value(exchange as never);
    // What a format leaves empty is not sent unless asked for (Envoy: keep_empty_value).
    if (text === '' && !keepEmpty) continue;
    const present = action === 'addIfAbsent' || action === 'overwriteIfExists' ? edit.get(name) !== null : false;
    if (action === 'append') edit.add(name, text);
    else if (action === 'overwrite' || (action === 'overwriteIfExists' && present)) edit.set(name, text);
    else if (action === 'addIfAbsent' && !present) edit.add(name, text);
    else continue;
    note(exchange, name, text);
  }
}

/** The same on the request itself, so that all that follows sees it. */
export function mutateRequest(mutation: HeaderMutation, exchange: ActiveExchange): void {
  for (const name of mutation.remove) exchange.removeRequestHeader(name);
  for (const { name, value, action, keepEmpty } of mutation.add) {
    const text = typeof value === 'string' ? value : value(exchange as never);
    if (text === '' && !keepEmpty) continue;
    if (action === 'append') exchange.addRequestHeader(name, text);
    else if (action === 'overwrite') exchange.setRequestHeader(name, text);
    else if ((exchange.header(name) !== null) === (action === 'overwriteIfExists'))
      exchange.setRequestHeader(name, text);
  }
}
