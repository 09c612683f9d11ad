import { closeSync, openSync, write, writeSync } from 'node:fs';

/** Lines wait so long for company before they are written. */
const gatherMs = 200;
/** A batch of this size is written at once (Envoy: access_log_manager, 64 KiB). */
const batchBytes = 64 << 10;
/** Lines beyond these batches not yet written are dropped and counted: a stuck reader must not fill the memory. */
const maxBatches = 64;

/** Lines side by side: as bytes at once, since text that waits is text that the garbage collector copies about. */
class Batch {
  bytes: Buffer = Buffer.allocUnsafeSlow(batchBytes);
  length = 0;

  /** False when it has no room left. */
  add(line: string): boolean {
    // No character takes more.
    const most = line.length * 3;
    if (this.length > 0 && this.length + most > this.bytes.length) return false;
    if (most > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(most);
    this.length += this.bytes.write(line, this.length);
    return true;
  }
}

/** One destination of access logs: lines are gathered and written together, without blocking. */
export class LogFile {
  readonly #path: string;
  #fd: number;
  /** Full ones and, last, the one that is being filled. */
  readonly #batches: Batch[] = [];
  /** One to begin anew with. */
  #spare: Batch | null = null;
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  /** To be opened again when the write under way is over. */
  #stale = false;
  #written: (() => void) | null = null;
  /** Lines that were dropped. */
  dropped = 0;

  /** Throws the system's Error when the file cannot be opened. */
  constructor(path: string) {
    this.#path = path;
    this.#fd = forward === null ? open(path) : -1;
  }

  append(line: string): void {
    if (this.#batches.at(-1)?.add(line)) return;
    if (this.#batches.length >= maxBatches) {
      this.dropped++;
      return;
    }
    const batch = this.#spare ?? new Batch();
    this.#spare = null;
    batch.add(line);
    this.#batches.push(batch);
    if (this.#batches.length > 1) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), gatherMs).unref();
  }

  #write(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing || this.#batches.length === 0) return;
    if (forward !== null) {
      this.flushSync();
      return;
    }
    this.#writing = true;
    this.#writeFrom(this.#batches.shift()!, 0);
  }

  #writeFrom(batch: Batch, offset: number): void {
    write(this.#fd, batch.bytes, offset, batch.length - offset, null, (error, written) => {
      if (error && error.code === 'EAGAIN') setTimeout(() => this.#writeFrom(batch, offset), gatherMs).unref();
      else if (!error && offset + written < batch.length) this.#writeFrom(batch, offset + written);
      else {
        if (error) this.dropped++;
        this.#writing = false;
        this.#keepSpare(batch);
        if (this.#stale) this.reopen();
        // One that is being filled waits for its time.
        if (this.#batches.length > 1) this.#write();
        else if (this.#batches.length === 1) this.#timer ??= setTimeout(() => this.#write(), gatherMs).unref();
        this.#written?.();
      }
    });
  }

  #keepSpare(batch: Batch): void {
    if (batch.bytes.length > batchBytes) return;
    batch.length = 0;
    this.#spare = batch;
  }

  /** Whoever renames a log file asks for a new one under the old name. A write that is under way ends in the old file. */
  reopen(): void {
    if (this.#fd <= 2) return;
    this.#stale = this.#writing;
    if (this.#stale) return;
    try {
      const next = open(this.#path);
      closeSync(this.#fd);
      this.#fd = next;
    } catch (error) {
      process.stderr.write(`access log ${this.#path} cannot be opened again: ${(error as Error).message}\n`);
    }
  }

  /** Writes what is left before the process ends, at most as long as `limitMs`: a reader that is stuck must not hold it. */
  async flush(limitMs: number): Promise<void> {
    if (this.#writing) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, limitMs);
      this.#written = resolve;
      await promise;
      clearTimeout(timer);
      this.#written = null;
    }
    this.flushSync();
  }

  /** The same at once, for a process that is falling. What a write under way may have written already is not written again. */
  flushSync(): void {
    const rest = Buffer.concat(this.#batches.map(({ bytes, length }) => bytes.subarray(0, length)));
    this.#batches.length = 0;
    try {
      if (rest.length > 0) forward === null ? writeSync(this.#fd, rest) : forward(this.#path, rest.toString());
    } catch {
      this.dropped++;
    }
  }
}

function open(path: string): number {
  return path === '/dev/stdout' ? 1 : path === '/dev/stderr' ? 2 : openSync(path, 'a', 0o644);
}

/** Takes the lines of this thread when another one has the files: a line must never be torn by those of others. */
let forward: ((path: string, lines: string) => void) | null = null;

export function forwardLogLines(to: (path: string, lines: string) => void): void {
  forward = to;
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

const flushMs = 1000;

/** Before the process ends. */
export async function flushLogFiles(): Promise<void> {
  await Promise.all([...files.values()].map((file) => file?.flush(flushMs)));
}

/** When the process is about to fall. */
export function flushLogFilesSync(): void {
  for (const file of files.values()) file?.flushSync();
}

/** POST /reopen_logs. A file that could not be opened is tried again. */
export function reopenLogFiles(): void {
  for (const [path, file] of files) {
    if (file === null) files.delete(path);
    else file.reopen();
  }
}

/** Lines that were dropped because their file was not written fast enough, or not at all. */
export function droppedLogLines(): number {
  let dropped = 0;
  for (const file of files.values()) dropped += file?.dropped ?? 0;
  return dropped;
}
