import test from 'ava';
import { readH2load, readWrk } from './load.ts';

const wrk = `Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.90ms    1.11ms  19.31ms   92.44%
    Req/Sec    22.11k     1.70k   24.06k    83.33%
  Latency Distribution
     50%  500.00us
     75%    2.99ms
     90%    3.55ms
     99%    1.02s
  66123 requests in 3.00s, 82.10MB read
`;

test('a summary of wrk is read in milliseconds', (t) => {
  const read = readWrk(`${wrk}Requests/sec:  22030.01\nTransfer/sec:     27.36MB\n`);
  t.deepEqual(read, { count: 66123, perSecond: 22030.01, p50Ms: 0.5, p99Ms: 1020, errors: 0 });
});

test('connections that fail and answers that are no success are errors', (t) => {
  const read = readWrk(
    `${wrk}  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 10\nRequests/sec: 1.0\n`,
  );
  t.is(read.errors, 17);
});

test('what is no summary is refused with what was said', (t) => {
  t.throws(() => readWrk('unable to connect to 127.0.0.1'), { message: /unable to connect/ });
  t.throws(() => readH2load('', ''), { message: /not understood/ });
});

test('a summary of h2load is read with the times of its log', (t) => {
  const text = `finished in 3.00s, 28610.33 req/s, 2.31MB/s
requests: 85831 total, 85831 started, 85831 done, 85829 succeeded, 2 failed, 0 errored, 0 timeout
status codes: 85828 2xx, 0 3xx, 0 4xx, 1 5xx
`;
  const log = Array.from({ length: 100 }, (_, i) => `1700000000000000\t200\t${(i + 1) * 1000}`).join('\n');
  t.deepEqual(readH2load(text, log), { count: 85828, perSecond: 28610.33, p50Ms: 50, p99Ms: 99, errors: 3 });
});
