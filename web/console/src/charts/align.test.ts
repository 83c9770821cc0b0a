import { expect, test } from "vitest";
import { align, alone, nearest } from "./align";

const series = (times: number[], values: number[]) => ({ labels: {}, times, values });

test("series of one answer share a grid; what is missing or not finite is absent", () => {
  const grid = align([series([15, 30, 60], [1, 2, 4]), series([30, 45], [NaN, Infinity])], 15);
  expect(grid.times).toEqual([15, 30, 45, 60]);
  expect(grid.values).toEqual([[1, 2, null, 4], [null, null, null, null]]);
});

test("times a little off the grid go to the nearest point", () => {
  expect(align([series([100, 115.4, 129.8], [1, 2, 3])], 15).values).toEqual([[1, 2, 3]]);
});

test("no samples make no grid", () => {
  expect(align([], 15)).toEqual({ times: [], values: [] });
  expect(align([series([], [])], 15)).toEqual({ times: [], values: [[]] });
});

test("a wrong step cannot make a grid without bounds", () => {
  expect(align([series([0, 1e9], [1, 2])], 1).times.length).toBeLessThan(60_000);
  expect(align([series([0, 10], [1, 2])], 0).times.length).toBe(11);
});

test("nearest finds the closest time, the earlier of two", () => {
  const times = [0, 10, 20];
  expect([-5, 4, 5, 6, 14, 16, 99].map((t) => nearest(times, t))).toEqual([0, 0, 0, 1, 1, 2, 2]);
  expect(nearest([], 3)).toBe(-1);
});

test("a value between two missing ones is alone", () => {
  expect(alone([1, null, 2, 3, null, null, 4])).toEqual([0, 6]);
  expect(alone([5])).toEqual([0]);
  expect(alone([])).toEqual([]);
});
