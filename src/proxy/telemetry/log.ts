const levels = ['debug', 'info', 'warn', 'error', 'none'] as const;
export type LogLevel = (typeof levels)[number];

/** The proxy's own messages, one line each on standard error: time, level, text, between tabs as in Istio. */
export interface Log {
  level: LogLevel;
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Envoy's and Istio's names of levels too; null for none of them. */
export function parseLevel(name: string): LogLevel | null {
  const known: Record<string, LogLevel> = {
    trace: 'debug',
    debug: 'debug',
    info: 'info',
    warning: 'warn',
    warn: 'warn',
    error: 'error',
    err: 'error',
    critical: 'error',
    fatal: 'error',
    off: 'none',
    none: 'none',
  };
  return known[name] ?? null;
}

export function createLog(
  level: LogLevel,
  asJson = false,
  write = (line: string) => void process.stderr.write(line),
): Log {
  const put = (at: LogLevel, message: string) => {
    if (levels.indexOf(at) < levels.indexOf(log.level)) return;
    const time = new Date().toISOString();
    write(asJson ? `${JSON.stringify({ level: at, time, msg: message })}\n` : `${time}\t${at}\t${message}\n`);
  };
  const log: Log = {
    level,
    debug: (message) => put('debug', message),
    info: (message) => put('info', message),
    warn: (message) => put('warn', message),
    error: (message) => put('error', message),
  };
  return log;
}
