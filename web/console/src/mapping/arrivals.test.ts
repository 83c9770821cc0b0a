import { expect, test } from "vitest";
import { worker, type Worker } from "../api/types";
import { arrivalOf, Arrivals } from "./arrivals";

const of = (applied_generation: number, state = "ready"): Worker => worker({ id: 1, cluster_id: 1, name: "a", state, applied_generation }, "$");

test.each([
  [of(8), 8, "applied"],
  [of(9), 8, "newer"],
  [of(7), 8, "waiting"],
  [of(7), 0, "waiting"], // the built-in mapping comes after every generation
  [of(0), 0, "applied"],
  [of(7, "unreachable"), 8, "disconnected"],
])("%o and generation %d: %s", (w, generation, want) => expect(arrivalOf(w, generation, 1)).toBe(want));

test("a worker with a stream that does not apply it within a minute has refused it", () => {
  expect([arrivalOf(of(7), 8, 60), arrivalOf(of(7, "unreachable"), 8, 60), arrivalOf(of(8), 8, 60)]).toEqual(["refused", "disconnected", "applied"]);
});

test("remembers when it was seen to arrive, not when it was there before", () => {
  const arrivals = new Arrivals();
  arrivals.take([of(7), { ...of(8), id: 2 }], 8, 1000);
  arrivals.take([of(8), { ...of(8), id: 2 }], 8, 2000);
  arrivals.take([of(8), { ...of(8), id: 2 }], 8, 3000);
  expect([arrivals.at(1), arrivals.at(2)]).toEqual([2000, undefined]);
});
