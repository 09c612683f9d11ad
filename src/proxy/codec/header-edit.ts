import type { HeaderBlock } from './header-block.ts';
import { idOfName } from './header-names.ts';

/**
 * How a received head differs from the one that is sent on: fields to skip, and fields to add behind the others. One
 * object a thread serves every message, from `begin` until the head is written.
 */
export class HeaderEdit {
  private block: HeaderBlock | null = null;
  private skipped: Uint8Array = new Uint8Array(64);
  readonly names: string[] = [];
  readonly values: string[] = [];
  count = 0;
  /** Bytes that the added fields take on the wire of HTTP/1. */
  addedBytes = 0;

  begin(block: HeaderBlock | null): this {
    this.block = block;
    this.count = 0;
    this.addedBytes = 0;
    if (block !== null) {
      if (block.count > this.skipped.length) this.skipped = new Uint8Array(block.count * 2);
      for (let i = 0; i < block.count; i++) this.skipped[i] = 0;
    }
    return this;
  }

  skip(index: number): void {
    this.skipped[index] = 1;
  }

  skips(index: number): boolean {
    return this.skipped[index] === 1;
  }

  add(name: string, value: string): void {
    this.names[this.count] = name;
    this.values[this.count++] = value;
    this.addedBytes += name.length + value.length + 4;
  }

  /** Takes a lower-case name out, received or added. */
  remove(name: string): void {
    const { block } = this;
    if (block !== null) {
      const id = idOfName(name);
      for (let i = block.findName(name, id); i >= 0; i = block.findName(name, id, i + 1)) this.skipped[i] = 1;
    }
    this.removeAdded(name);
  }

  /** Takes back what `add` added under this name. */
  removeAdded(name: string): void {
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.names[i] === name) {
        this.addedBytes -= name.length + this.values[i].length + 4;
        continue;
      }
      this.names[kept] = this.names[i];
      this.values[kept++] = this.values[i];
    }
    this.count = kept;
  }

  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  /** Puts a value behind what a list header holds already. */
  join(name: string, value: string, separator: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}${separator}${value}`);
  }

  /** Value of a lower-case name as it will be sent; null when absent. */
  get(name: string): string | null {
    let joined: string | null = null;
    const { block } = this;
    if (block !== null) {
      const id = idOfName(name);
      for (let i = block.findName(name, id); i >= 0; i = block.findName(name, id, i + 1)) {
        if (this.skipped[i] === 0) joined = joined === null ? block.value(i) : `${joined},${block.value(i)}`;
      }
    }
    for (let i = 0; i < this.count; i++) {
      if (this.names[i] === name) joined = joined === null ? this.values[i] : `${joined},${this.values[i]}`;
    }
    return joined;
  }
}

export const edit: HeaderEdit = new HeaderEdit();
