import { openSync, write, writeSync } from 'node:fs';

/** Lines wait so long for company before they are written. */
const gatherMs = 200;
/** A batch of this size is written at once. */
const batchChars = 16 << 10;
/** Lines beyond this many characters not yet written are dropped and counted: a stuck reader must not fill the memory. */
const maxPendingChars = 4 << 20;

/** One destination of access logs: lines are gathered and written together, without blocking. */
export class LogFile {
  readonly #fd: number;
  #pending = '';
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  /** Lines that were dropped. */
  dropped = 0;

  /** Throws the system's Error when the file cannot be opened. */
  constructor(path: string) {
    this.#fd = path === '/dev/stdout' ? 1 : path === '/dev/stderr' ? 2 : openSync(path, 'a', 0o644);
  }

  append(line: string): void {
    if (this.#pending.length > maxPendingChars) {
      this.dropped++;
      return;
    }
    this.#pending += line;
    if (this.#pending.length >= batchChars) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), gatherMs).unref();
  }

  #write(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing || this.#pending === '') return;
    const batch = Buffer.from(this.#pending);
    this.#pending = '';
    this.#writing = true;
    this.#writeFrom(batch, 0);
  }

  #writeFrom(batch: Buffer, offset: number): void {
    write(this.#fd, batch, offset, batch.length - offset, null, (error, written) => {
      if (error && error.code === 'EAGAIN') setTimeout(() => this.#writeFrom(batch, offset), gatherMs).unref();
      else if (!error && offset + written < batch.length) this.#writeFrom(batch, offset + written);
      else {
        if (error) this.dropped++;
        this.#writing = false;
        this.#write();
      }
    });
  }

  /** Writes what is left before the process ends. */
  flushSync(): void {
    const batch = this.#pending;
    this.#pending = '';
    try {
      if (batch !== '') writeSync(this.#fd, batch);
    } catch {
      this.dropped++;
    }
  }
}

const files = new Map<string, LogFile | null>();

/** The file of a path, opened once for the process; null when it cannot be opened, which is told once on stderr. */
export function logFile(path: string): LogFile | null {
  const known = files.get(path);
  if (known !== undefined) return known;
  let file: LogFile | null = null;
  try {
    file = new LogFile(path);
  } catch (error) {
    process.stderr.write(`access log ${path} cannot be opened: ${(error as Error).message}\n`);
  }
  files.set(path, file);
  return file;
}

export function flushLogFiles(): void {
  for (const file of files.values()) file?.flushSync();
}
