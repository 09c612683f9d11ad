/** A server for each pod: it notes what it sees, and answers as a header of the request says. */
import { createServer, type Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { listening } from '../ports.ts';

export interface Seen {
  readonly backend: string;
  /** `:method`, `:path` and the headers. */
  readonly headers: Readonly<Record<string, string>>;
}

export class PodBackends {
  readonly #servers: Server[] = [];
  readonly #portOf = new Map<string, number>();
  #seen: Seen[] = [];
  #counts = new Map<string, number>();

  /** The port of a pod's server, which is started when it is asked for first. */
  async portOf(pod: string): Promise<number> {
    const known = this.#portOf.get(pod);
    if (known !== undefined) return known;
    const server = createServer({ keepAlive: true }, (request, response) => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(',') : (value ?? ''),
        ]),
      );
      this.#seen.push({
        backend: pod,
        headers: { ...headers, ':method': request.method ?? '', ':path': request.url ?? '' },
      });
      request.resume();
      void wait(Number(headers['x-delay-ms'] ?? 0)).then(() => {
        const answers = headers['x-answers']?.split(',') ?? ['200'];
        const count = this.#counts.get(`${headers['x-answers']}`) ?? 0;
        this.#counts.set(`${headers['x-answers']}`, count + 1);
        response.writeHead(Number(answers[Math.min(count, answers.length - 1)]), {
          'x-pod': pod,
          'x-extra': 'from the pod',
        });
        response.end('ok');
      });
    });
    // The proxies keep their connections longer than Node's 5 s.
    server.keepAliveTimeout = 120_000;
    this.#servers.push(server);
    const port = await listening(server as never);
    this.#portOf.set(pod, port);
    return port;
  }

  /** What was seen since this was last asked. */
  take(): Seen[] {
    const taken = this.#seen;
    this.#seen = [];
    this.#counts = new Map();
    return taken;
  }

  stop(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}
