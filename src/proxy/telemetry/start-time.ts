/** Timestamps for log lines: the text of a second is made once. */

let second = -1;
let prefix = '';

/** `2026-01-31T09:05:07.042Z`, as Envoy's %START_TIME% writes it by default. */
export function isoTime(epochMs: number): string {
  const s = Math.floor(epochMs / 1000);
  if (s !== second) {
    second = s;
    prefix = new Date(s * 1000).toISOString().slice(0, 20);
  }
  const ms = Math.floor(epochMs - s * 1000);
  return `${prefix}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`;
}

/** A moment read in UTC or in the zone of the machine. */
interface Moment {
  readonly ms: number;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** Day of the year, from 0. */
  readonly yearDay: number;
  readonly offsetMinutes: number;
  readonly zone: string;
}

function utcMoment(ms: number): Moment {
  const d = new Date(ms);
  return momentOf(ms, d, 0, 'UTC');
}

function localMoment(ms: number): Moment {
  const offsetMinutes = -new Date(ms).getTimezoneOffset();
  const zone =
    new Intl.DateTimeFormat('en', { timeZoneName: 'short' })
      .formatToParts(ms)
      .find(({ type }) => type === 'timeZoneName')?.value ?? '';
  return momentOf(ms, new Date(ms + offsetMinutes * 60_000), offsetMinutes, zone);
}

function momentOf(ms: number, d: Date, offsetMinutes: number, zone: string): Moment {
  const year = d.getUTCFullYear();
  return {
    ms,
    year,
    month: d.getUTCMonth(),
    day: d.getUTCDate(),
    weekday: d.getUTCDay(),
    hour: d.getUTCHours(),
    minute: d.getUTCMinutes(),
    second: d.getUTCSeconds(),
    yearDay: Math.floor((Date.UTC(year, d.getUTCMonth(), d.getUTCDate()) - Date.UTC(year, 0, 1)) / 86_400_000),
    offsetMinutes,
    zone,
  };
}

const two = (n: number): string => (n < 10 ? `0${n}` : `${n}`);
const spaced = (n: number): string => (n < 10 ? ` ${n}` : `${n}`);
const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = 'January February March April May June July August September October November December'.split(' ');
const hour12 = (m: Moment): number => m.hour % 12 || 12;
const offset = (m: Moment, colon: string): string => {
  const all = Math.abs(m.offsetMinutes);
  return `${m.offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(all / 60))}${colon}${two(all % 60)}`;
};

/** Year and number of the ISO 8601 week. */
function isoWeek(m: Moment): { year: number; week: number } {
  const thursday = new Date(Date.UTC(m.year, m.month, m.day - ((m.weekday + 6) % 7) + 3));
  const year = thursday.getUTCFullYear();
  return { year, week: 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * 86_400_000)) };
}

type Part = (m: Moment) => string;

/** strftime's conversions (C11 7.27.3.5, POSIX), in the C locale. */
const conversions: Readonly<Record<string, Part>> = {
  Y: (m) => `${m.year}`,
  C: (m) => two(Math.floor(m.year / 100)),
  y: (m) => two(m.year % 100),
  G: (m) => `${isoWeek(m).year}`,
  g: (m) => two(isoWeek(m).year % 100),
  V: (m) => two(isoWeek(m).week),
  U: (m) => two(Math.floor((m.yearDay + 7 - m.weekday) / 7)),
  W: (m) => two(Math.floor((m.yearDay + 7 - ((m.weekday + 6) % 7)) / 7)),
  m: (m) => two(m.month + 1),
  b: (m) => months[m.month].slice(0, 3),
  h: (m) => months[m.month].slice(0, 3),
  B: (m) => months[m.month],
  d: (m) => two(m.day),
  e: (m) => spaced(m.day),
  j: (m) => `${m.yearDay + 1}`.padStart(3, '0'),
  a: (m) => weekdays[m.weekday].slice(0, 3),
  A: (m) => weekdays[m.weekday],
  w: (m) => `${m.weekday}`,
  u: (m) => `${m.weekday || 7}`,
  H: (m) => two(m.hour),
  k: (m) => spaced(m.hour),
  I: (m) => two(hour12(m)),
  l: (m) => spaced(hour12(m)),
  M: (m) => two(m.minute),
  S: (m) => two(m.second),
  p: (m) => (m.hour < 12 ? 'AM' : 'PM'),
  P: (m) => (m.hour < 12 ? 'am' : 'pm'),
  s: (m) => `${Math.floor(m.ms / 1000)}`,
  z: (m) => offset(m, ''),
  Z: (m) => m.zone,
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
};
/** Conversions that stand for several. */
const composed: Readonly<Record<string, string>> = {
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  R: '%H:%M',
  D: '%m/%d/%y',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
  r: '%I:%M:%S %p',
  c: '%a %b %e %H:%M:%S %Y',
};

/** Digits of the second's fraction; the clock here knows milliseconds. */
const fraction = (m: Moment, places: number): string =>
  `${Math.floor(((m.ms % 1000) + 1000) % 1000)}`.padStart(3, '0').padEnd(9, '0').slice(0, places);

function compile(pattern: string): Part[] {
  const parts: Part[] = [];
  const literal = (text: string) => parts.push(() => text);
  for (const [part, digits, letter] of pattern.matchAll(/%(E\*|E\d|\d?)([a-zA-Z%])|[^%]+|%/g)) {
    if (!letter) literal(part);
    else if (letter === 'f' && /^\d?$/.test(digits)) {
      const places = digits === '' ? 9 : Number(digits);
      parts.push((m) => fraction(m, places));
    } else if (letter === 's' && /^\d$/.test(digits)) {
      parts.push((m) => `${Math.floor(m.ms / 1000)}${fraction(m, Number(digits))}`);
    } else if (letter === 'S' && digits.startsWith('E')) {
      const places = digits === 'E*' ? 9 : Number(digits.slice(1));
      parts.push((m) => (places === 0 ? two(m.second) : `${two(m.second)}.${fraction(m, places)}`));
    } else if (digits === '' && Object.hasOwn(composed, letter)) parts.push(...compile(composed[letter]));
    else if (digits === '' && Object.hasOwn(conversions, letter)) parts.push(conversions[letter]);
    else literal(part);
  }
  return parts;
}

/**
 * strftime's conversions with Envoy's `%f`, `%3f`, `%6f`, `%9f` and `%3s`, and `%E3S`. What is none of them stays as it is
 * (so does Envoy). Throws an Error for a pattern that would break the line.
 */
export function timeFormat(pattern: string, zone: 'utc' | 'local' = 'utc'): (epochMs: number) => string {
  if (/%n|\n/.test(pattern)) throw new Error(`time format ${JSON.stringify(pattern)} has a line break`);
  const parts = compile(pattern);
  const read = zone === 'utc' ? utcMoment : localMoment;
  return (epochMs) => {
    const moment = read(epochMs);
    let text = '';
    for (const part of parts) text += part(moment);
    return text;
  };
}

const local = timeFormat('%Y-%m-%dT%H:%M:%E3S%z', 'local');

/** What %START_TIME_LOCAL% writes without a format: `2026-01-31T10:05:07.042+0100`. */
export const localTime = (epochMs: number): string => local(epochMs);
