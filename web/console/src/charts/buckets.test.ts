import { expect, test } from "vitest";
import { cellsOf, shade } from "./buckets";

const bucket = (le: string, ...values: number[]) => ({ labels: { le }, times: values.map((_, i) => i * 15), values });

test("cells are the differences of cumulative counts, by bound and not by order", () => {
  const cells = cellsOf([bucket("+Inf", 9, 9), bucket("0.5", 1, 2), bucket("10", 7, 2)], 15);
  expect(cells.buckets).toEqual([{ low: 0, high: 0.5 }, { low: 0.5, high: 10 }, { low: 10, high: Infinity }]);
  expect(cells.counts).toEqual([[1, 2], [6, 0], [2, 7]]);
  expect(cells.most).toBe(7);
});

test("equal bounds are added, however they are written", () => {
  expect(cellsOf([bucket("1", 1), bucket("1.0", 2), bucket("+Inf", 5)], 15).counts).toEqual([[3], [2]]);
});

test("the bucket above takes the count of a missing one", () => {
  const cells = cellsOf([bucket("1", 1, 1), bucket("2", 3), bucket("4", 6, 6)], 15);
  expect(cells.counts).toEqual([[1, 1], [2, null], [3, 5]]);
});

test("counts that fall with the bound make an empty cell, and nothing above is counted twice", () => {
  expect(cellsOf([bucket("1", 5), bucket("2", 3), bucket("4", 6)], 15).counts).toEqual([[5], [0], [1]]);
});

test("the added +Inf of zero above real buckets is empty", () => {
  expect(cellsOf([bucket("1", 5), bucket("+Inf", 0)], 15).counts).toEqual([[5], [0]]);
});

test("a first bound of zero or below has no lower end", () => {
  expect(cellsOf([bucket("-1", 1), bucket("0", 2)], 15).buckets).toEqual([{ low: -Infinity, high: -1 }, { low: -1, high: 0 }]);
  expect(cellsOf([bucket("0", 1)], 15).buckets[0]!.low).toBe(-Infinity);
});

test("series without a bound are left out", () => {
  expect(cellsOf([{ labels: {}, times: [0], values: [1] }, bucket("many", 1)], 15).buckets).toEqual([]);
});

test("colours go by the square root; nothing has none", () => {
  expect(shade(25, 100)).toBe(0.5);
  expect(shade(100, 100)).toBe(1);
  expect([shade(0, 100), shade(1e-10, 1), shade(null, 1), shade(1, 0)]).toEqual([undefined, undefined, undefined, undefined]);
});
