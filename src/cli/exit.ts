/** Exit codes as istioctl has them (sysexits.h). */
export const exit = { ok: 0, failure: 1, usage: 64, data: 65 } as const;

/** Ends a verb with a message for the user; anything else that is thrown is a defect. */
export class CliError extends Error {
  readonly exitCode: number;
  /** What to do about it, on a line of its own. */
  readonly hint: string | null;

  constructor(
    message: string,
    { exitCode = exit.failure, hint = null }: { exitCode?: number; hint?: string | null } = {},
  ) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The command line itself is wrong. */
export function usageError(message: string, hint: string | null = null): CliError {
  return new CliError(message, { exitCode: exit.usage, hint });
}
