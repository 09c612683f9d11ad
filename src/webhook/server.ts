/** The webhooks' HTTPS server, port 15017 of the control plane. */
import { createSecureContext } from 'node:tls';
import fastify, { type FastifyInstance } from 'fastify';
import { WebhookCounters } from './counters.ts';
import { type ConfigFor, reviewInjection } from './injection-review.ts';
import type { WebhookLog } from './log.ts';
import { environmentOfPath } from './path-environment.ts';
import { answer, ReviewError, readReview } from './review.ts';
import { type Advise, reviewValidation } from './validation-review.ts';

export interface ServingCertificate {
  /** PEM. */
  key: string;
  /** PEM, leaf first. */
  cert: string;
}

export interface WebhookServerOptions {
  /** Asked at every new connection: a renewed certificate is served from then on, open connections stay. */
  tls: () => ServingCertificate;
  /** Asked at every injection. May throw: the pod is then refused with that message. */
  config: ConfigFor;
  /** Asked about every resource that is acceptable; nothing unless told. */
  advise?: Advise;
  log: WebhookLog;
  /** Of the caller's own, to have one registry. */
  counters?: WebhookCounters;
}

export interface WebhookServer {
  /** Port 0 takes a free one. Returns the port. */
  listen(port: number, host?: string): Promise<number>;
  /** Prometheus' text. */
  metrics(): string;
  /** Answers what was asked, takes nothing new. */
  close(): Promise<void>;
}

/** An object of the API server has at most 1.5 MiB (etcd's limit); an update carries two. */
const bodyLimitBytes = 3 * 1024 * 1024;

export function createWebhookServer({
  tls,
  config,
  advise,
  log,
  counters = new WebhookCounters(),
}: WebhookServerOptions): WebhookServer {
  let served = tls();
  const app = fastify({
    https: { key: served.key, cert: served.cert, minVersion: 'TLSv1.2' },
    bodyLimit: bodyLimitBytes,
    // The API server waits 10 s for an answer.
    requestTimeout: 10_000,
    // Longer than the 90 s after which the API server drops an idle connection: it must not lose a question to our closing it.
    keepAliveTimeout: 120_000,
    forceCloseConnections: 'idle',
    logger: false,
  });
  const renew = () => {
    try {
      const current = tls();
      if (current.cert === served.cert && current.key === served.key) return;
      createSecureContext({ key: current.key, cert: current.cert });
      app.server.setSecureContext({ key: current.key, cert: current.cert, minVersion: 'TLSv1.2' });
      served = current;
    } catch (error) {
      log.error(
        { error: (error as Error).message },
        'the renewed certificate cannot be served; the last good one stays',
      );
    }
  };
  // Before Node's own listener, which starts the handshake with the context of that moment.
  app.server.prependListener('connection', renew);
  app.server.on('tlsClientError', (error: Error) => log.warn({ error: error.message }, 'TLS handshake failed'));
  addRoutes(app, config, advise, counters, log);

  return {
    async listen(port, host = '::') {
      const bind = (address: string) => app.listen({ port, host: address });
      try {
        await bind(host);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
        await bind('0.0.0.0');
      }
      const address = app.server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    metrics: () => counters.text(),
    close: () => app.close(),
  };
}

function addRoutes(
  app: FastifyInstance,
  config: ConfigFor,
  advise: Advise | undefined,
  counters: WebhookCounters,
  log: WebhookLog,
): void {
  app.get('/ready', () => 'ok');
  app.post<{ Params: { '*'?: string } }>('/inject', ({ body }) =>
    answer(reviewInjection(readReview(body), {}, config, counters, log)),
  );
  app.post<{ Params: { '*': string } }>('/inject/*', ({ body, params }) =>
    answer(reviewInjection(readReview(body), environmentOfPath(params['*']), config, counters, log)),
  );
  for (const path of ['/validate', '/validate/*'])
    app.post(path, ({ body }) => answer(reviewValidation(readReview(body), counters, log, advise)));
  app.setErrorHandler(({ statusCode = 500, message, name }: Error & { statusCode?: number }, request, reply) => {
    const code = name === ReviewError.name ? 400 : statusCode;
    log.warn({ path: request.url, code, error: message }, 'request refused');
    reply.code(code).type('text/plain').send(`${message}\n`);
  });
}
