import { expect, test } from "vitest";
import { pointedAt, ranked } from "./rank";

const line = (value: number, at = value, stacked = false) => ({ value, at, stacked });

test("lines are pointed at by distance", () => {
  const list = [line(1), line(5), line(9)];
  expect(pointedAt(list, 6.5)).toBe(list[1]);
  expect(pointedAt(list, 100)).toBe(list[2]);
  expect(pointedAt([], 1)).toBeUndefined();
});

test("a layer is pointed at in its whole height", () => {
  const list = [line(10, 10, true), line(90, 100, true), line(20, 120, true)];
  expect(pointedAt(list, 30)).toBe(list[1]);
  expect(pointedAt(list, 3)).toBe(list[0]);
  expect(pointedAt(list, 105)).toBe(list[2]);
});

test("the largest come first, the rest is counted, and the one pointed at stays", () => {
  const list = [3, 1, 4, 2].map((v) => line(v));
  expect(ranked(list, 9)).toEqual({ shown: [line(4), line(3), line(2), line(1)], more: 0 });
  const { shown, more } = ranked(list, 2, list[1]);
  expect(shown.map((c) => c.value)).toEqual([4, 1]);
  expect(more).toBe(2);
});
