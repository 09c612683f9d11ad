/** A host on loopback whose address answers nothing: its queue of connections is full, so that the kernel drops every SYN. */
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';

const backlog = 1;

const listener = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: 4\\r\\n\\r\\nlate'));
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: ${backlog} }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(workerData, 0, 0);
  });`;

export class DeafOrigin {
  readonly port: number;
  private readonly gate: Int32Array;

  private constructor(port: number, gate: Int32Array) {
    this.port = port;
    this.gate = gate;
  }

  static async of(t: ExecutionContext): Promise<DeafOrigin> {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(listener, { eval: true, workerData: gate });
    t.teardown(() => worker.terminate());
    const port = await new Promise<number>((resolve, reject) => worker.once('message', resolve).once('error', reject));
    // Linux takes one connection more than the backlog says.
    for (let i = 0; i <= backlog; i++) {
      const filling: Socket = connect(port, '127.0.0.1');
      t.teardown(() => filling.destroy());
      filling.on('error', () => {});
      await new Promise((resolve) => filling.once('connect', resolve));
    }
    return new DeafOrigin(port, gate);
  }

  /** From now on it takes connections and answers every request with `late`. */
  listen(): void {
    Atomics.store(this.gate, 0, 1);
    Atomics.notify(this.gate, 0);
  }
}
