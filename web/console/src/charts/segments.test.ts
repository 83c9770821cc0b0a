import { expect, test } from "vitest";
import { segmentAt, segmentsOf } from "./segments";

const series = (...points: [number, number][]) => ({ labels: {}, times: points.map((p) => p[0]), values: points.map((p) => p[1]) });
const range = { from: 0, to: 100 };

test("equal values are one span, which lasts until the next value", () => {
  expect(segmentsOf(series([0, 1], [10, 1], [20, 2], [30, 2]), 10, range)).toEqual([{ from: 0, to: 20, value: 1 }, { from: 20, to: 40, value: 2 }]);
});

test("missing samples and values that are not finite make a gap, also between equal values", () => {
  expect(segmentsOf(series([0, 1], [40, 1], [50, NaN], [60, 1]), 10, range).map((s) => [s.from, s.to])).toEqual([[0, 10], [40, 50], [60, 70]]);
});

test("spans end with the range", () => {
  expect(segmentsOf(series([-20, 1], [-10, 1], [0, 1], [100, 2]), 10, range)).toEqual([{ from: 0, to: 10, value: 1 }, { from: 100, to: 100, value: 2 }]);
});

test("the span at a time", () => {
  const list = segmentsOf(series([0, 1], [10, 2], [40, 3]), 10, range);
  expect([0, 9, 10, 20, 21, 45].map((t) => segmentAt(list, t)?.value)).toEqual([1, 1, 2, 2, undefined, 3]);
  expect(segmentAt([], 1)).toBeUndefined();
});
