/** Objects of one kind by key, with a view that changes its identity exactly when something in it changes. */
import { isDeepStrictEqual } from 'node:util';

export class Table<T> {
  readonly #objects = new Map<string, T>();
  #view: ReadonlyMap<string, T> | null = null;

  /** False when nothing changed: the object that was there stays. */
  set(key: string, object: T): boolean {
    if (isDeepStrictEqual(this.#objects.get(key), object)) return false;
    this.#objects.set(key, object);
    this.#view = null;
    return true;
  }

  delete(key: string): boolean {
    if (!this.#objects.delete(key)) return false;
    this.#view = null;
    return true;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  keys(): string[] {
    return [...this.#objects.keys()];
  }

  read(): ReadonlyMap<string, T> {
    this.#view ??= new Map(this.#objects);
    return this.#view;
  }
}
