/** The list of pages, as /help tells it and as an unknown path is answered. */
import { type Handler, type Reply, type Routes, text } from './http-server.ts';

export interface Page {
  readonly help: string;
  /** Name and meaning of each parameter. */
  readonly params?: ReadonlyArray<readonly [name: string, help: string]>;
  /** What changes something is asked for by POST (Envoy: mutates_server_state). */
  readonly post?: boolean;
  readonly answer: Handler;
}

export type Pages = Readonly<Record<string, Page>>;

export function helpText(pages: Pages): string {
  let out = 'admin commands are:\n';
  for (const [path, { help, params = [], post = false }] of Object.entries(pages).sort(([a], [b]) =>
    a < b ? -1 : 1,
  )) {
    out += `  ${path}${post ? ' (POST)' : ''}: ${help}\n`;
    for (const [name, meaning] of params) out += `      ${name}: ${meaning}\n`;
  }
  return out;
}

export function unknownPage(pages: Pages): Reply {
  return text(`invalid path. ${helpText(pages)}`, 404);
}

export function routesOf(pages: Pages): Routes {
  return Object.fromEntries(
    Object.entries(pages).map(([path, { post = false, answer }]) => [
      path,
      post
        ? (request, url) =>
            request.method === 'POST'
              ? answer(request, url)
              : text(`Method ${request.method} not allowed, POST required.`, 405)
        : answer,
    ]),
  ) as Record<string, Handler>;
}
