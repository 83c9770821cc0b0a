import { expect, test } from "vitest";
import { runs, stack } from "./stack";

test("each series stands on those before it", () => {
  expect(stack([[1, 2], [10, 20], [100, 200]]).map((l) => l.top)).toEqual([[1, 2], [11, 22], [111, 222]]);
});

test("a missing value has no height and leaves the others where they are", () => {
  const [, middle, upper] = stack([[1, 1], [5, null], [2, 2]]);
  expect(middle!.top).toEqual([6, null]);
  expect(upper).toEqual({ bottom: [6, 1], top: [8, 3] });
});

test("negative values stack below zero", () => {
  expect(stack([[3], [-2], [4], [-1]]).map((l) => l.top[0])).toEqual([3, -2, 7, -3]);
});

test("runs are the ranges without a gap", () => {
  expect(runs([null, 1, 2, null, 3])).toEqual([[1, 2], [4, 4]]);
  expect(runs([null])).toEqual([]);
  expect(runs([1, 2])).toEqual([[0, 1]]);
});
