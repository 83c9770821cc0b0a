import { expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import { looks } from "./overrides";
import { valueRange } from "./valuerange";

const range = (low: number | null, high: number | null, more: Partial<Panel> = {}) => {
  const panel: Panel = { id: 1, kind: "timeseries", title: "", x: 0, y: 0, w: 12, h: 8, ...more };
  return valueRange(panel, [{ look: looks(panel)("a"), shown: true } as Parameters<typeof valueRange>[1][number]], low, high);
};
const softMax = (to: number) => ({ overrides: [{ matching: ".*", properties: { "custom.axisSoftMax": to } }] });

test("fixed ends hold whatever the values are", () => {
  expect(range(0.2, 7, { min: 0, max: 1 })).toEqual([0, 1]);
  expect(range(-5, 3, { min: 0 })[0]).toBe(0);
});

test("the soft end yields to larger values alone", () => {
  expect(range(0, 1, { min: 0, ...softMax(4) })).toEqual([0, 4]);
  expect(range(0, 40, { min: 0, ...softMax(4) })[1]).toBeGreaterThanOrEqual(40);
});

// From uPlot 1.6.32's rangeNum with the configuration that Grafana gives it.
test.each([
  [0, 97, 0, 107], [12, 97, 3, 106], [60, 64.3, 59.5, 64.8], [-3, 8, -5, 10], [-40, -10, -43, -7], [5, 5, 0, 10], [-5, -5, -10, 0],
  [1e-7, 4e-7, 7e-8, 4.3e-7], [82.1, 82.4, 82.07, 82.43], [0, 1e12, 0, 1.1e12],
])("%d to %d are drawn from %d to %d", (low, high, from, to) => {
  const ends = range(low, high).map((v) => Number(v.toPrecision(9)) + 0);
  expect(ends).toEqual([from, to]);
});

test("values of nothing but zero have a visible axis", () => {
  expect(range(0, 0, { min: 0 })).toEqual([0, 1]);
  expect(range(0, 0, { unit: "percent" })).toEqual([0, 100]);
  expect(range(0, 0, { min: 0, ...softMax(4) })).toEqual([0, 4]);
});

test("an axis is never empty", () => {
  for (const [low, high, more] of [[null, null, {}], [null, null, { min: 5 }], [3, 3, { max: 3, min: 3 }], [7, 7, {}], [-2, -2, {}], [10, 20, { max: 1 }]] as const) {
    const [from, to] = range(low, high, more);
    expect(from).toBeLessThan(to);
  }
});
