import { readFileSync } from 'node:fs';
import test from 'ava';
import { cleanMappings, giveBackPages } from './forget-start.ts';

const entry = (head: string, dirty: number, anonymous = dirty) =>
  `${head}\nSize: 64 kB\nRss: 64 kB\nPrivate_Clean: 64 kB\nPrivate_Dirty: ${String(dirty).padStart(8)} kB\nAnonymous: ${String(anonymous).padStart(8)} kB\nVmFlags: rd ex mr\n`;

test('only what can be read from its file again is given back: neither what was written to nor what has no file', (t) => {
  const smaps = [
    entry('00400000-0082e000 r--p 00000000 fe:00 5579779                            /usr/local/bin/node', 0),
    // A file that was written a moment ago.
    entry('0082e000-03489000 r-xp 0042e000 fe:00 5579779                            /usr/local/bin/node', 8000, 0),
    // Relocated by the dynamic linker: the file does not hold what it has become.
    entry('072a7000-072dc000 r--p 06ea7000 fe:00 5579779                            /usr/local/bin/node', 24),
    entry('072dc000-07308000 rw-p 06edc000 fe:00 5579779                            /usr/local/bin/node', 0),
    entry('07308000-07400000 r--s 00000000 fe:00 77                                 /dev/shm/shared', 0),
    entry('2b3c8000-2bf16000 r-xp 00000000 00:00 0                                  [vdso]', 0),
    entry('7f0000000000-7f0000100000 r-xp 00000000 00:00 0 ', 0),
    entry('7fffa9d8e000-7fffa9d90000 r-xp 00000000 08:01 12 /lib/a library.so', 0),
  ].join('');
  t.deepEqual(cleanMappings(smaps), [
    { from: 0x400000n, length: 0x42e000 },
    { from: 0x82e000n, length: 0x2c5b000 },
    { from: 0x7fffa9d8e000n, length: 0x2000 },
  ]);
  t.deepEqual(cleanMappings(''), []);
});

if (process.platform === 'linux')
  test('a process that has given its pages back is smaller, and goes on', (t) => {
    const fileKiB = () => Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
    const before = fileKiB();
    giveBackPages();
    const after = fileKiB();
    t.true(after < before, `${before} KiB of files before, ${after} after`);
    t.is(JSON.parse(JSON.stringify({ still: [1, 2, 3] })).still.length, 3);
  });
