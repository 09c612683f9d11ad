/** Stars by reviewer; a POST or PUT of `{"Reviewer1": 3}` replaces a book's, in memory. */
import { serve } from './server.ts';

const maxBooks = 1000;
const stored = new Map<number, Record<string, number>>();

serve('ratings', ({ method, url, body }) => {
  const id = /^\/ratings\/(\d+)$/.exec(url.pathname)?.[1];
  if (id === undefined) return null;
  const book = Number(id);
  if (method === 'POST' || method === 'PUT') {
    const ratings: unknown = JSON.parse(body);
    const good =
      typeof ratings === 'object' &&
      ratings !== null &&
      Object.values(ratings).every((stars) => Number.isInteger(stars));
    if (!good) return { status: 400, body: { error: 'please provide valid ratings JSON: {"Reviewer1": 5}' } };
    if (stored.size >= maxBooks && !stored.has(book))
      return { status: 507, body: { error: `ratings are kept for ${maxBooks} books` } };
    stored.set(book, ratings as Record<string, number>);
  } else if (method !== 'GET') return { status: 405, body: { error: `${method} is not offered` } };
  return { body: { id: book, ratings: stored.get(book) ?? { Reviewer1: 5, Reviewer2: 4 } } };
});
