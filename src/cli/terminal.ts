/** Check marks, warnings and progress for a person: colours and rewritten lines only where they can be shown. */

/** The part of a stream that is needed; `process.stderr` is one. */
export interface TextStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface TerminalOptions {
  /** `process.env`: `NO_COLOR` (any value that is not empty) and `TERM=dumb` switch colours off, `FORCE_COLOR` on. */
  env?: Record<string, string | undefined>;
  /** How often a step's spinner turns, in milliseconds. */
  spinMs?: number;
}

/** One line of work in progress. Exactly one of its endings is called. */
export interface Step {
  /** Replaces what the line says; without a terminal it is told only if it differs from the last. */
  update(text: string): void;
  done(text?: string): void;
  fail(text?: string): void;
}

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof codes;

const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export class Terminal {
  readonly #stream: TextStream;
  readonly #spinMs: number;
  readonly hasColors: boolean;
  readonly isInteractive: boolean;

  constructor(stream: TextStream, { env = process.env, spinMs = 80 }: TerminalOptions = {}) {
    this.#stream = stream;
    this.#spinMs = spinMs;
    this.isInteractive = stream.isTTY === true && env.TERM !== 'dumb';
    this.hasColors = !env.NO_COLOR && (this.isInteractive || Boolean(env.FORCE_COLOR));
  }

  style(style: Style, text: string): string {
    const [on, off] = codes[style];
    return this.hasColors ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`);
  }

  success(text: string): void {
    this.line(`${this.style('green', '✔')} ${text}`);
  }

  failure(text: string): void {
    this.line(`${this.style('red', '✘')} ${text}`);
  }

  warning(text: string): void {
    this.line(`${this.style('yellow', '!')} ${text}`);
  }

  /** Starts a line that ends in a check mark or a cross. Only one step at a time is shown. */
  step(text: string): Step {
    if (!this.isInteractive) return this.#plainStep(text);
    let said = text;
    let frame = 0;
    const draw = () => {
      const room = (this.#stream.columns ?? 80) - 3;
      const shown = said.length > room ? `${said.slice(0, room - 1)}…` : said;
      this.#stream.write(`\r\x1b[2K${this.style('cyan', spinner[frame++ % spinner.length])} ${shown}`);
    };
    draw();
    const timer = setInterval(draw, this.#spinMs);
    timer.unref();
    const end = () => {
      clearInterval(timer);
      this.#stream.write('\r\x1b[2K');
    };
    return {
      update: (next) => {
        said = next;
      },
      done: (last = said) => {
        end();
        this.success(last);
      },
      fail: (last = said) => {
        end();
        this.failure(last);
      },
    };
  }

  #plainStep(text: string): Step {
    let said = text;
    this.line(`  ${text}`);
    return {
      update: (next) => {
        if (next !== said) this.line(`  ${next}`);
        said = next;
      },
      done: (last = said) => this.success(last),
      fail: (last = said) => this.failure(last),
    };
  }
}
