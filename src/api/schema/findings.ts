import { formatPath, type Path, type Problem, type ProblemCode, type Report, type Validation } from './problem.ts';

/** Collects problems while a validator walks an object; knows where the walk is. */
export class Findings implements Report {
  readonly #maxOfEach: number;
  readonly #at: Array<string | number> = [];
  readonly #errors: Problem[] = [];
  readonly #warnings: Problem[] = [];
  #leftOut = 0;

  /** More than a hundred errors, or warnings, help nobody; the rest is counted in one last entry. */
  constructor(maxOfEach = 100) {
    this.#maxOfEach = maxOfEach;
  }

  enter(segment: string | number): void {
    this.#at.push(segment);
  }

  leave(): void {
    this.#at.pop();
  }

  error(path: Path, message: string, code: ProblemCode = 'rule'): void {
    this.#add(this.#errors, path, message, code);
  }

  warning(path: Path, message: string, code: ProblemCode = 'rule'): void {
    this.#add(this.#warnings, path, message, code);
  }

  #add(list: Problem[], path: Path, message: string, code: ProblemCode): void {
    if (list.length >= this.#maxOfEach) this.#leftOut++;
    else list.push({ path: formatPath([...this.#at, ...path]), message, code });
  }

  result(): Validation {
    const warnings = this.#leftOut
      ? [
          ...this.#warnings,
          { path: '', message: `${this.#leftOut} more problems are not shown`, code: 'rule' as const },
        ]
      : this.#warnings;
    return { errors: this.#errors, warnings };
  }
}
