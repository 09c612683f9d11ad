/** The soak itself: a proxy under load whose configuration changes all the time. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { TestAuthority } from '../../src/proxy/testing/certificates.ts';
import { type Command, freePorts, PinnedProcess, proxyCore } from '../proxy/contender.ts';
import { SoakControl } from './control.ts';
import { failed, http2Callers, http2Upstream, httpCallers, httpUpstream, type Tally } from './traffic.ts';
import { type Places, soakBootstrap, worldAt } from './world.ts';

export interface SoakOptions {
  readonly seconds: number;
  /** How to start the proxy with a bootstrap file. */
  readonly proxy: (config: string) => Command;
  readonly progress: (line: string) => void;
}

export interface SoakResult {
  readonly seconds: number;
  readonly pushes: number;
  readonly acknowledged: number;
  readonly refusals: readonly string[];
  /** By protocol. */
  readonly traffic: Readonly<Record<string, Tally>>;
  /** The proxy's resident set in KiB, and when, in seconds. */
  readonly memory: ReadonlyArray<{ readonly second: number; readonly rss: number }>;
  /** CPU seconds of the proxy. */
  readonly cpuSeconds: number;
}

const pushMs = 500;
const memoryMs = 1000;

/** Throws when the proxy does not start; what goes wrong afterwards is in the result. */
export async function runSoak({ seconds, proxy, progress }: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-soak-'));
  const ending: Array<() => unknown> = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const authority = await TestAuthority.make();
    const certificates = await Promise.all(
      [1, 2, 3].map((i) => authority.issue(`spiffe://cluster.local/ns/bench/sa/s${i}`)),
    );
    const upstreams = await Promise.all([httpUpstream(), httpUpstream()]);
    const http2Upstreams = await Promise.all([http2Upstream(), http2Upstream()]);
    for (const upstream of [...upstreams, ...http2Upstreams]) ending.push(() => upstream.close());
    const [http, tls, http2] = await freePorts(3);
    const places: Places = {
      http,
      tls,
      http2,
      upstreams: upstreams.map(({ port }) => port),
      http2Upstreams: http2Upstreams.map(({ port }) => port),
      certificates,
    };
    const control = await SoakControl.start(worldAt(0, places));
    ending.push(() => control.close());
    const config = join(folder, 'bootstrap.json');
    writeFileSync(config, soakBootstrap(control.port));
    const started = new PinnedProcess('lateen', proxy(config), proxyCore, join(folder, 'proxy.log'));
    ending.push(() => started.end());
    for (const port of [http, tls, http2]) await started.untilListening(port);

    const until = performance.now() + seconds * 1000;
    const isOver = () => performance.now() >= until || !started.running;
    const callers = {
      'HTTP/1.1': httpCallers(http, 8, false, isOver),
      'HTTP/1.1 over TLS': httpCallers(tls, 8, true, isOver),
      'HTTP/2': http2Callers(http2, 2, 8, isOver),
    };
    const memory: Array<{ second: number; rss: number }> = [];
    const watch = setInterval(() => {
      memory.push({ second: seconds - (until - performance.now()) / 1000, rss: started.memory().rss });
    }, memoryMs);
    let step = 0;
    while (!isOver()) {
      await pause(pushMs);
      control.push(worldAt(++step, places));
      if (step % 120 === 0)
        progress(
          `${step} pushes, ${Object.entries(callers)
            .map(([name, { tally }]) => `${name} ${tally.done} (${failed(tally)} failed)`)
            .join(', ')}`,
        );
    }
    await Promise.all(Object.values(callers).map(({ finished }) => finished));
    clearInterval(watch);
    if (!started.running) throw new Error(`the proxy ended: ${started.lastWords()}`);
    return {
      seconds,
      pushes: step,
      acknowledged: control.acknowledged,
      refusals: control.refusals,
      traffic: Object.fromEntries(Object.entries(callers).map(([name, { tally }]) => [name, tally])),
      memory,
      cpuSeconds: started.cpuNs() / 1e9,
    };
  } finally {
    for (const end of ending.reverse()) await end();
  }
}
