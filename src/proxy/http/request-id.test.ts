import test from 'ava';
import { makeRequestId } from './request-id.ts';

test('identifiers are random UUIDs of version 4, and none comes twice', (t) => {
  const made = Array.from({ length: 2000 }, makeRequestId);
  for (const id of made) t.regex(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  t.is(new Set(made).size, made.length);
  // Every digit that is free takes every value.
  for (const place of [0, 7, 9, 15, 20, 24, 35]) t.is(new Set(made.map((id) => id[place])).size, 16, `${place}`);
});
