// How far a generation of the mapping has come.
import type { Worker } from "../api/types";

export type Arrived = "applied" | "newer" | "waiting" | "disconnected" | "refused";

/** States of a worker that does not get the mapping now; it gets it when it is back. */
const away = new Set(["unreachable", "not_ready", "error", "pending"]);

/** How long a worker with a stream may take, in seconds; one that takes longer has refused it, as the doctor says, too. */
export const applyTime = 60;

/** Where a worker stands with a generation that has been active for so many seconds. */
export function arrivalOf(worker: Worker, generation: number, seconds: number): Arrived {
  if (worker.applied_generation === generation) return "applied";
  if (generation !== 0 && worker.applied_generation > generation) return "newer";
  if (away.has(worker.state)) return "disconnected";
  return seconds >= applyTime ? "refused" : "waiting";
}

/** Remembers when each worker was first seen with a generation that it lacked before. */
export class Arrivals {
  readonly #seen = new Map<number, { had: boolean; at?: number }>();

  /** Takes the workers as they are at a time, in milliseconds since the epoch. */
  take(workers: readonly Worker[], generation: number, now: number): void {
    for (const worker of workers) {
      const has = worker.applied_generation === generation;
      const before = this.#seen.get(worker.id);
      if (!before) this.#seen.set(worker.id, { had: has });
      else if (has && !before.had) this.#seen.set(worker.id, { had: true, at: now });
      else if (!has) this.#seen.set(worker.id, { had: false });
    }
  }

  /** When a worker was seen to apply it; undefined if it had it from the beginning, or has it not. */
  at(worker: number): number | undefined {
    return this.#seen.get(worker)?.at;
  }
}
