/** The page that joins details and reviews; `/login` with `username=jason` signs a user in by cookie. */
import { call, podName, type Reply, type Request, serve, serviceUrl } from './server.ts';

/** The page gives up on a service after this long; reviews gets one more try, so a delay of 7 s shows as an error after 6 s. */
const timeoutMs = 3_000;

const product = {
  id: 0,
  title: 'The Comedy of Errors',
  descriptionHtml: 'Two pairs of identical twins, parted at birth, meet in one town on one day.',
};

function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

function signedIn(request: Request): string | null {
  const cookie = /(?:^|;\s*)session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  const header = request.headers['end-user'];
  return cookie ? decodeURIComponent(cookie) : typeof header === 'string' ? header : null;
}

function onward(request: Request): Request['headers'] {
  const user = signedIn(request);
  return user === null ? request.headers : { ...request.headers, 'end-user': user };
}

async function reviewsOf(request: Request, id: string): Promise<Reply> {
  const url = `${serviceUrl('reviews')}/reviews/${id}`;
  const first = await call(url, onward(request), timeoutMs);
  return first.status === 200 ? first : call(url, onward(request), timeoutMs);
}

function detailsOf(request: Request, id: string): Promise<Reply> {
  return call(`${serviceUrl('details')}/details/${id}`, onward(request), timeoutMs);
}

interface Review {
  reviewer: string;
  text: string;
  rating?: { stars: number; color: string } | { error: string };
}

function stars(rating: Review['rating']): string {
  if (!rating) return '';
  if ('error' in rating) return `<p class="error">${escapeHtml(rating.error)}</p>`;
  return `<p class="stars" style="color:${escapeHtml(rating.color)}" title="${rating.stars} of 5">${'★'.repeat(Math.max(0, rating.stars))}</p>`;
}

function page(request: Request, details: Reply, reviews: Reply): string {
  const user = signedIn(request);
  const facts =
    details.status === 200
      ? `<dl>${Object.entries(details.body as object)
          .map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`)
          .join('')}</dl>`
      : '<p class="error">Error fetching product details!</p>';
  const { podname = '', reviews: list = [] } = (reviews.status === 200 ? reviews.body : {}) as {
    podname?: string;
    reviews?: Review[];
  };
  const opinions =
    reviews.status === 200
      ? `${list.map((review) => `<blockquote><p>${escapeHtml(review.text)}</p><cite>${escapeHtml(review.reviewer)}</cite>${stars(review.rating)}</blockquote>`).join('')}
<p>Reviews served by: ${escapeHtml(podname)}</p>`
      : '<p class="error">Error fetching product reviews!</p>';
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Simple Bookstore App</title>
<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}.error{color:#b00020}dt{float:left;clear:left;width:9rem;color:#555}</style></head>
<body>
<header>${user === null ? '<form method="post" action="/login"><input name="username" placeholder="user name"><button>Sign in</button></form>' : `<p>${escapeHtml(user)} (<a href="/logout">sign out</a>)</p>`}</header>
<h1>${escapeHtml(product.title)}</h1><p>${escapeHtml(product.descriptionHtml)}</p>
<section><h2>Book Details</h2>${facts}</section>
<section><h2>Book Reviews</h2>${opinions}</section>
<footer>Served by ${escapeHtml(podName)}</footer>
</body>
</html>
`;
}

function back(cookie: string): { status: number; headers: Record<string, string>; body: string } {
  return { status: 302, headers: { location: '/productpage', 'set-cookie': cookie }, body: '' };
}

serve('productpage', async (request) => {
  const path = request.url.pathname;
  if (path === '/productpage') {
    const [details, reviews] = await Promise.all([detailsOf(request, '0'), reviewsOf(request, '0')]);
    return { body: page(request, details, reviews) };
  }
  if (path === '/login' && request.method === 'POST') {
    const user = new URLSearchParams(request.body).get('username') ?? '';
    return back(`session=${encodeURIComponent(user)}; Path=/; HttpOnly`);
  }
  if (path === '/logout') return back('session=; Path=/; Max-Age=0');
  if (path === '/' || path === '/index.html') return { body: '<a href="/productpage">productpage</a>' };
  if (path === '/api/v1/products') return { body: [product] };
  const api = /^\/api\/v1\/products\/(\d+)(?:\/(reviews|ratings))?$/.exec(path);
  if (!api) return { status: 404, body: { error: `productpage has no ${path}` } };
  const reply = !api[2]
    ? await detailsOf(request, api[1])
    : api[2] === 'reviews'
      ? await reviewsOf(request, api[1])
      : await call(`${serviceUrl('ratings')}/ratings/${api[1]}`, onward(request), timeoutMs);
  return reply.status === 200
    ? { body: reply.body }
    : {
        status: reply.status || 500,
        body: { error: `Sorry, product ${api[2] ?? 'details'} are currently unavailable for this book.` },
      };
});
