import { describe, expect, test } from "vitest";
import type { Series } from "../model/panel";
import { spread } from "./matrix";
import { merge, newest } from "./merge";

const one = (labels: Record<string, string>, ...values: number[]): Series => ({ labels, times: values.map((_, i) => i), values });

/** Rows as text: the labels, then the values. */
const show = (answers: Series[][]) => merge(answers).map(({ labels, values }) => `${Object.values(labels).join(" ")}: ${values.map((v) => v ?? "-").join(" ")}`);

describe("merge", () => {
  test("joins series with the same labels, and keeps the order", () => {
    expect(show([[one({ w: "b" }, 1), one({ w: "a" }, 2)], [one({ w: "a" }, 3), one({ w: "c" }, 4)]])).toEqual(["b: 1 -", "a: 2 3", "c: - 4"]);
  });
  test("a series without a label that others have joins every row that agrees", () => {
    expect(show([[one({ w: "a", gpu: "0" }, 1), one({ w: "a", gpu: "1" }, 2), one({ w: "b", gpu: "0" }, 3)], [one({ w: "a" }, 9)]])).toEqual(["a 0: 1 9", "a 1: 2 9", "b 0: 3 -"]);
  });
  test("a row takes the labels of what joins it", () => {
    expect(show([[one({ w: "a" }, 1)], [one({ w: "a", state: "ready" }, 1)]])).toEqual(["a ready: 1 1"]);
  });
  test("two series of one answer are two rows, of which the first has the rest", () => {
    expect(show([[one({ w: "a" }, 1)], [one({ w: "a", s: "x" }, 2), one({ w: "a", s: "y" }, 3)]])).toEqual(["a x: 1 2", "a y: - 3"]);
  });
  test("labels that contradict keep rows apart", () => {
    expect(show([[one({ w: "a", s: "x" }, 1)], [one({ w: "a", s: "y" }, 2)], [one({ w: "a" }, 3)]])).toEqual(["a x: 1 - 3", "a y: - 2 3"]);
  });
  test("an empty answer takes no part", () => {
    expect(show([[], [one({ w: "a" }, 1)], []])).toEqual(["a: - 1 -"]);
    expect(show([[], []])).toEqual([]);
    expect(show([])).toEqual([]);
  });
  test("within an answer, a label that a series lacks is empty", () => {
    expect(show([[one({ w: "a" }, 1), one({ w: "a", role: "prefill" }, 2)], [one({ w: "a", role: "prefill" }, 3)]])).toEqual(["a : 1 -", "a prefill: 2 3"]);
  });
  test("labels that look alike when joined stay apart", () => {
    expect(show([[one({ a: "x,y", b: "z" }, 1)], [one({ a: "x", b: "y,z" }, 2)]])).toEqual(["x,y z: 1 -", "x y,z: - 2"]);
  });
  test("NaN is absent, infinity is not", () => {
    expect(show([[one({ w: "a" }, NaN)], [one({ w: "a" }, Infinity)]])).toEqual(["a: - Infinity"]);
  });
});

test("newest takes the last value, and none before it", () => {
  expect(newest(one({}, 1, 2))).toBe(2);
  expect(newest(one({}, 1, 2, NaN))).toBeUndefined();
  expect(newest(one({}, NaN))).toBeUndefined();
  expect(newest(one({}))).toBeUndefined();
});

describe("spread", () => {
  test("makes rows of one label and cells of the other", () => {
    const rows = spread({ across: "vendor", down: "metric", title: "Metric" }, [one({ vendor: "nvidia", metric: "m10" }, 1), one({ vendor: "amd", metric: "m2" }, 0.5), one({ vendor: "amd", metric: "m10" }, NaN)]);
    expect(rows.map(({ labels, cells }) => [labels["metric"], { ...cells }])).toEqual([
      ["m2", { amd: 0.5 }],
      ["m10", { nvidia: 1, amd: undefined }],
    ]);
  });
  test("takes labels by the names of objects' own properties", () => {
    const [row] = spread({ across: "a", down: "d", title: "" }, [one({ a: "__proto__", d: "constructor" }, 1)]);
    expect(Object.entries(row!.cells!)).toEqual([["__proto__", 1]]);
  });
});
