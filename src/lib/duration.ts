const unitMs: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a duration in Go's notation (`1h30m`, `1.5s`, `-20ms`, `0`), which Kubernetes' CEL and Istio's resources use.
 * Returns milliseconds, with fractions for smaller units, or `null` when the text is no such duration.
 */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const negative = text.startsWith('-');
  const body = negative || text.startsWith('+') ? text.slice(1) : text;
  if (body.length > 64) return null;
  let totalMs = 0;
  let end = 0;
  for (const part of body.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g)) {
    if (part.index !== end) return null;
    end = part.index + part[0].length;
    totalMs += Number(part[1]) * unitMs[part[2]];
  }
  if (end === 0 || end !== body.length) return null;
  return negative ? -totalMs : totalMs;
}

/** Writes milliseconds as Go writes durations from whole units: `90000` → `1m30s`, `1500` → `1.5s`, `20` → `20ms`. */
export function formatDurationMs(ms: number): string {
  if (ms < 0) return `-${formatDurationMs(-ms)}`;
  if (ms === 0) return '0s';
  if (ms < 1000) return `${Number(ms.toFixed(6))}ms`;
  const hours = Math.floor(ms / unitMs.h);
  const minutes = Math.floor((ms % unitMs.h) / unitMs.m);
  const seconds = Number(((ms % unitMs.m) / 1000).toFixed(9));
  return `${hours ? `${hours}h` : ''}${minutes ? `${minutes}m` : ''}${seconds || ms < unitMs.m ? `${seconds}s` : ''}`;
}
