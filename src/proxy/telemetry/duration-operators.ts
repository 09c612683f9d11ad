import type { Exchange, TcpSession } from '../http/exchange.ts';
import { isExchange, type LogSubject } from './access-log.ts';
import { type Command, choice, command, type Operator, plain } from './operator.ts';
import { isoTime, localTime, timeFormat } from './start-time.ts';

/** Milliseconds of `performance.now()`; negative when the point was not reached. */
type Point = (subject: LogSubject) => number;

const ofExchange =
  (read: (exchange: Exchange) => number): Point =>
  (s) =>
    isExchange(s) ? read(s) : -1;
const ofSession =
  (read: (session: TcpSession) => number): Point =>
  (s) =>
    isExchange(s) ? -1 : read(s);

/** The points that %COMMON_DURATION% knows by name. */
const points: Readonly<Record<string, Point>> = {
  DS_RX_BEG: ofExchange((e) => e.startTick),
  DS_RX_END: ofExchange((e) => e.requestEndTick),
  US_CX_BEG: (s) => s.upstream?.dialTick ?? -1,
  US_CX_END: (s) => s.upstream?.connectedTick ?? -1,
  US_HS_END: (s) => (s.upstream?.tls ? s.upstream.connectedTick : -1),
  US_TX_BEG: ofExchange((e) => e.upstreamSendTick),
  US_TX_END: ofExchange((e) => e.upstreamSentTick),
  US_RX_BEG: ofExchange((e) => e.upstreamFirstByteTick),
  US_RX_END: ofExchange((e) => e.upstreamEndTick),
  DS_TX_BEG: ofExchange((e) => e.responseTick),
  DS_TX_END: ofExchange((e) => e.endTick),
  DS_CX_BEG: ofSession((session) => session.startTick),
  DS_CX_END: ofSession((session) => session.endTick),
};

const never: Point = () => -1;

function between(from: Point, to: Point, scale: number): Operator {
  return (s) => {
    const start = from(s);
    const end = to(s);
    return start < 0 || end < 0 ? null : Math.floor((end - start) * scale);
  };
}

const scales = { ms: 1, us: 1000, ns: 1_000_000 } as const;

/** Points of another name are those that filters set; none does here. */
function commonDuration(argument: string | null): Operator {
  const parts = argument!.split(':');
  if (parts.length < 2 || parts.length > 3) throw new Error(`${argument} is not START:END or START:END:PRECISION`);
  const precision = choice(parts[2] ?? 'ms', ['ms', 'us', 'ns']);
  return between(points[parts[0]] ?? never, points[parts[1]] ?? never, scales[precision]);
}

/** A duration that is still growing is told up to now (formats in headers are read while the request lives). */
const now = (s: LogSubject): number => (s.endTick < 0 ? performance.now() : s.endTick);

const time = (read: (s: LogSubject) => number, zone: 'utc' | 'local'): Command =>
  command('optional', false, (pattern) => {
    const format = pattern === null ? (zone === 'utc' ? isoTime : localTime) : timeFormat(pattern, zone);
    return (s) => format(read(s));
  });

const emitted = (s: LogSubject): number => s.startedAtMs + (now(s) - s.startTick);

export const durationOperators: Readonly<Record<string, Command>> = {
  START_TIME: time((s) => s.startedAtMs, 'utc'),
  START_TIME_LOCAL: time((s) => s.startedAtMs, 'local'),
  EMIT_TIME: time(emitted, 'utc'),
  EMIT_TIME_LOCAL: time(emitted, 'local'),
  DURATION: plain((s) => Math.floor(now(s) - s.startTick)),
  COMMON_DURATION: command('required', false, commonDuration),
  REQUEST_DURATION: plain(between(points.DS_RX_BEG, points.DS_RX_END, 1)),
  REQUEST_TX_DURATION: plain(between(points.DS_RX_BEG, points.US_TX_END, 1)),
  RESPONSE_DURATION: plain(between(points.DS_RX_BEG, points.US_RX_BEG, 1)),
  RESPONSE_TX_DURATION: plain(between(points.US_RX_BEG, points.DS_TX_END, 1)),
  UPSTREAM_CONNECTION_POOL_READY_DURATION: plain(
    between(
      ofExchange((e) => e.attemptTick),
      points.US_TX_BEG,
      1,
    ),
  ),
  // Acknowledgements of HTTP/3, which is not spoken.
  ROUNDTRIP_DURATION: plain(() => null),
};
