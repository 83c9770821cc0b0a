// A value that several components follow.
import { useEffect, useState } from "preact/hooks";

export class Value<T> {
  #value: T;
  #followers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (value === this.#value) return;
    this.#value = value;
    for (const follow of [...this.#followers]) follow(value);
  }

  /** Calls back at each change; returns what ends that. */
  follow(changed: (value: T) => void): () => void {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  }
}

/** The value now; the component draws itself again when it changes. */
export function useValue<T>(value: Value<T>): T {
  const [now, set] = useState(() => value.get());
  useEffect(() => {
    set(() => value.get());
    return value.follow((v) => set(() => v));
  }, [value]);
  return now;
}
