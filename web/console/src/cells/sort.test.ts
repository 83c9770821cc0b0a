import { describe, expect, test } from "vitest";
import { numberCell, textCell } from "../format/csv";
import { filtered, sorted } from "./sort";

const sort = (list: (number | string | undefined)[], descending = false) => sorted(list, (v) => v, descending);

describe("sorted", () => {
  test.each<[(number | string | undefined)[], (number | string | undefined)[], (number | string | undefined)[]]>([
    [[10, 9, -1, 2.5], [-1, 2.5, 9, 10], [10, 9, 2.5, -1]],
    [[2, undefined, 1, NaN, 3], [1, 2, 3, undefined, NaN], [3, 2, 1, undefined, NaN]],
    [[1, Infinity, -Infinity], [-Infinity, 1, Infinity], [Infinity, 1, -Infinity]],
    [["gpu-10", "gpu-9", "GPU-1"], ["GPU-1", "gpu-9", "gpu-10"], ["gpu-10", "gpu-9", "GPU-1"]],
    [["b", "", undefined, "a"], ["a", "b", "", undefined], ["b", "a", "", undefined]],
    [["x", 2, "a", 10], [2, 10, "a", "x"], ["x", "a", 10, 2]],
    [[], [], []],
  ])("%j ascends to %j and descends to %j", (list, up, down) => {
    expect(sort(list)).toEqual(up);
    expect(sort(list, true)).toEqual(down);
  });
  test("equal rows keep their order in both directions, and the list stays as it was", () => {
    const rows = [{ v: 1, n: "a" }, { v: 2, n: "b" }, { v: 1, n: "c" }, { v: 2, n: "d" }];
    expect(sorted(rows, (r) => r.v, false).map((r) => r.n).join("")).toBe("acbd");
    expect(sorted(rows, (r) => r.v, true).map((r) => r.n).join("")).toBe("bdac");
    expect(rows.map((r) => r.n).join("")).toBe("abcd");
  });
});

describe("filtered", () => {
  const rows = [["Reset GPU", "worker-1"], ["GPU throttled", "worker-2"], ["[a-z", ""]];
  test.each([
    ["", 3],
    ["  ", 3],
    ["gpu", 2],
    ["GPU WORKER-2", 1],
    ["worker-2 gpu", 1],
    ["[a-z", 1],
    ["gpuworker", 0],
    ["none", 0],
  ])("%j leaves %d", (filter, n) => expect(filtered(rows, filter, (r) => r)).toHaveLength(n));
});

describe("cells of CSV", () => {
  test.each([
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", "'\r=1"],
    ["a=1", "a=1"],
    ["'quoted'", "'quoted'"],
    ["", ""],
  ])("the text %j is %j", (text, want) => expect(textCell(text)).toBe(want));
  test.each<[number | undefined, string | undefined, string]>([
    [-1.5, "s", "-1.5"],
    [0.1 + 0.2, undefined, "0.30000000000000004"],
    [1e21, undefined, "1e+21"],
    [Infinity, "s", "Infinity"],
    [NaN, "s", ""],
    [undefined, "s", ""],
    [1_700_000_000_000, "dateTimeFromNow", "2023-11-14T22:13:20.000Z"],
    [1e300, "dateTimeFromNow", "1e+300"],
  ])("the number %d in %s is %j", (value, unit, want) => expect(numberCell(value, unit)).toBe(want));
});
