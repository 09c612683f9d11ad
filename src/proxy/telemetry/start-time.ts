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

const two = (n: number): string => (n < 10 ? `0${n}` : `${n}`);

const letters: Record<string, (date: Date, epochMs: number) => string> = {
  Y: (d) => `${d.getUTCFullYear()}`,
  m: (d) => two(d.getUTCMonth() + 1),
  d: (d) => two(d.getUTCDate()),
  e: (d) => `${d.getUTCDate()}`.padStart(2),
  H: (d) => two(d.getUTCHours()),
  M: (d) => two(d.getUTCMinutes()),
  S: (d) => two(d.getUTCSeconds()),
  F: (d) => d.toISOString().slice(0, 10),
  T: (d) => d.toISOString().slice(11, 19),
  z: () => '+0000',
  Z: () => 'UTC',
  s: (_, ms) => `${Math.floor(ms / 1000)}`,
  '%': () => '%',
};

/** strftime's letters as far as logs use them, and Envoy's `%3f`, `%6f`, `%9f`, `%3s`. Throws an Error for any other. */
export function timeFormat(pattern: string): (epochMs: number) => string {
  const parts: Array<string | ((date: Date, epochMs: number) => string)> = [];
  for (const [part, digits, letter] of pattern.matchAll(/%(\d?)([a-zA-Z%*])|[^%]+|%/g)) {
    if (!letter) parts.push(part);
    else if (letter === 'f' || (letter === 's' && digits)) {
      const places = digits ? Number(digits) : 9;
      const whole = letter === 's';
      parts.push((_, ms) => {
        const fraction = `${Math.floor(ms % 1000)}`.padStart(3, '0').padEnd(9, '0').slice(0, places);
        return whole ? `${Math.floor(ms / 1000)}${fraction}` : fraction;
      });
    } else if (Object.hasOwn(letters, letter) && !digits) parts.push(letters[letter]);
    else throw new Error(`%START_TIME% does not know "${part}"`);
  }
  return (epochMs) => {
    const date = new Date(epochMs);
    return parts.map((part) => (typeof part === 'string' ? part : part(date, epochMs))).join('');
  };
}
