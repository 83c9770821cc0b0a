import { describe, expect, test } from "vitest";
import { seriesName } from "./name";
import { mapped, thresholdColor } from "./values";

describe("thresholdColor", () => {
  const thresholds = [{ color: "green" }, { color: "orange", from: 1 }, { color: "red", from: 5 }];
  test.each([
    [-1, "green"],
    [0.999, "green"],
    [1, "orange"],
    [5, "red"],
    [Infinity, "red"],
    [NaN, "green"],
  ])("%d is %s", (v, want) => expect(thresholdColor(thresholds, v)).toBe(want));
  test("without thresholds there is none", () => {
    expect(thresholdColor(undefined, 1)).toBeUndefined();
    expect(thresholdColor([], 1)).toBeUndefined();
  });
});

describe("mapped", () => {
  const values = [
    { value: 0, text: "down", color: "red" },
    { value: "ready", text: "ready" },
  ];
  test("only the very value has a meaning", () => {
    expect(mapped(values, 0)?.text).toBe("down");
    expect(mapped(values, 0.1)).toBeUndefined();
    expect(mapped(values, "0")).toBeUndefined();
    expect(mapped(values, "ready")?.text).toBe("ready");
    expect(mapped(undefined, 0)).toBeUndefined();
  });
});

describe("seriesName", () => {
  test.each<[string | undefined, Record<string, string>, string]>([
    ["{{worker_name}} {{gpu_index}}.{{ gpu_chip_index }}", { worker_name: "n1", gpu_index: "3", gpu_chip_index: "0" }, "n1 3.0"],
    ["{{gone}}", { a: "b" }, ""],
    ["{{constructor}}", {}, ""],
    ["{{a}}", { a: "{{b}} $&", b: "x" }, "{{b}} $&"],
    ["Waiting", { a: "b" }, "Waiting"],
    [undefined, {}, ""],
    [undefined, { a: "b" }, "b"],
    [undefined, { a: "b", c: 'd"' }, '{a="b", c="d\\""}'],
    [undefined, { __name__: "up", job: "x" }, 'up{job="x"}'],
    [undefined, { __name__: "up" }, "up"],
  ])("legend %s of %j", (legend, labels, want) => expect(seriesName(legend, labels)).toBe(want));
});
