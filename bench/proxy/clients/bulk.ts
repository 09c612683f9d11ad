/**
 * Both ends of bulk transfers through a TCP proxy. `node bulk.ts serve PORT` sends bytes to whoever connects, as long as they
 * are read; `node bulk.ts read PORT SECONDS` reads on four connections and prints one line of JSON.
 */
import { createServer, Socket } from 'node:net';

const [role, port, seconds] = process.argv.slice(2);
const connections = 4;
const piece = Buffer.alloc(262_144, 'b');

function serve(): void {
  const server = createServer((socket) => {
    const fill = () => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', fill);
    socket.on('error', () => {});
    fill();
  });
  server.listen(Number(port), '127.0.0.1');
}

async function read(): Promise<void> {
  let bytes = 0;
  let errors = 0;
  const buffer = Buffer.allocUnsafeSlow(262_144);
  const sockets = Array.from({ length: connections }, () => {
    const socket = new Socket({
      onread: {
        buffer,
        callback: (length) => {
          bytes += length;
          return true;
        },
      },
    });
    socket.on('error', () => errors++);
    socket.on('end', () => errors++);
    return socket.connect(Number(port), '127.0.0.1');
  });
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
  const passed = (performance.now() - start) / 1000;
  const count = bytes;
  for (const socket of sockets) socket.destroy();
  console.log(JSON.stringify({ count, perSecond: count / passed, errors }));
}

if (role === 'serve') serve();
else await read();
