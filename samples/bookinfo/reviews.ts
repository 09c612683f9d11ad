/**
 * Two reviews of a book. Version v1 shows no stars; v2 asks ratings and paints them black, v3 red
 * (`SERVICE_VERSION`, or `ENABLE_RATINGS` and `STAR_COLOR`, choose).
 */
import { call, clusterName, podName, serve, serviceUrl } from './server.ts';

const version = process.env.SERVICE_VERSION ?? 'v1';
const withRatings = (process.env.ENABLE_RATINGS ?? String(version !== 'v1')) === 'true';
const color = process.env.STAR_COLOR ?? (version === 'v3' ? 'red' : 'black');
/** The black-star version waits longer, so that a delay fault shows itself differently in v2 and v3. */
const ratingsTimeoutMs = color === 'black' ? 10_000 : 2_500;

const texts = [
  { reviewer: 'Reviewer1', text: 'A comedy of mistaken twins that never lets go. I laughed on every page.' },
  { reviewer: 'Reviewer2', text: 'Great fun, if lighter than the later plays.' },
];

serve(`reviews-${version}`, async ({ url, headers }) => {
  const id = /^\/reviews\/(\d+)$/.exec(url.pathname)?.[1];
  if (id === undefined) return { status: 404, body: { error: `reviews has no ${url.pathname}` } };
  let stars: Record<string, number> | null = null;
  if (withRatings) {
    const reply = await call(`${serviceUrl('ratings')}/ratings/${id}`, headers, ratingsTimeoutMs);
    stars = reply.status === 200 ? (reply.body as { ratings: Record<string, number> }).ratings : null;
  }
  const reviews = texts.map((review) => {
    if (!withRatings) return review;
    const rating = stars
      ? { stars: stars[review.reviewer] ?? -1, color }
      : { error: 'Ratings service is currently unavailable' };
    return { ...review, rating };
  });
  return { body: { id, podname: podName, clustername: clusterName, reviews } };
});
