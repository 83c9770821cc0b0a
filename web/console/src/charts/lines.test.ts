import { expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import type { PanelData, Series } from "../model/panel";
import { afterClick, last, linesOf } from "./lines";

const panel: Panel = {
  id: 1, kind: "timeseries", title: "", x: 0, y: 0, w: 12, h: 8, stacked: true,
  queries: [{ expr: "a", legend: "{{gpu}}" }, { expr: "b", legend: "total" }],
  overrides: [{ matching: "total", properties: { "custom.stacking": { mode: "none" }, color: { fixedColor: "text" } } }],
};
const series = (gpu: string, ...values: number[]): Series => ({ labels: { gpu }, times: values.map((_, i) => i * 15), values });
const data = (...answers: Series[][]): PanelData => ({ answers, range: { from: 0, to: 60 }, step: 15, marks: [] });
const none = new Set<string>();

test("layers stack, overlays do not", () => {
  const { lines, times } = linesOf(panel, data([series("0", 1, 2), series("1", 3, 4)], [series("", 4, 6)]), "light", none, 100);
  expect(times).toEqual([0, 15]);
  expect(lines.map((l) => [l.name, l.drawn, l.values])).toEqual([["0", [1, 2], [1, 2]], ["1", [4, 6], [3, 4]], ["total", [4, 6], [4, 6]]]);
  expect(lines[2]!.color).toBe("text");
});

test("a hidden series leaves the stack; where all are hidden all are shown", () => {
  const answers = data([series("0", 1), series("1", 3)]);
  const hidden = linesOf(panel, answers, "light", new Set(["0", "gone"]), 100).lines;
  expect(hidden.map((l) => [l.shown, l.drawn])).toEqual([[false, [1]], [true, [3]]]);
  expect(linesOf(panel, answers, "light", new Set(["0", "1"]), 100).lines.every((l) => l.shown)).toBe(true);
});

test("of too many series the largest stay, in their order and colours, and those with a colour of their own", () => {
  const answer = Array.from({ length: 10 }, (_, i) => series(String(i), i, 0));
  const all = linesOf(panel, data(answer, [series("", 1)]), "dark", none, 100).lines;
  const { lines, total } = linesOf(panel, data(answer, [series("", 1)]), "dark", none, 3);
  expect(total).toBe(11);
  expect(lines.map((l) => l.name)).toEqual(["8", "9", "total"]);
  expect(lines.map((l) => l.color)).toEqual([all[8]!.color, all[9]!.color, "text"]);
});

test("values that are not finite do not make a series large", () => {
  const { lines } = linesOf(panel, data([series("0", Infinity, 1), series("1", NaN, 2)]), "light", none, 1);
  expect(lines.map((l) => l.name)).toEqual(["1"]);
});

test("a click isolates, another shows all, with Ctrl one alone changes", () => {
  const names = ["a", "b", "c"];
  expect(afterClick(names, none, "b", false)).toEqual(new Set(["a", "c"]));
  expect(afterClick(names, new Set(["a", "c"]), "b", false)).toEqual(none);
  expect(afterClick(names, new Set(["a", "c"]), "a", false)).toEqual(new Set(["b", "c"]));
  expect(afterClick(names, new Set(["a", "c"]), "a", true)).toEqual(new Set(["c"]));
  expect(afterClick(names, new Set(["a", "c"]), "b", true)).toEqual(none);
  expect(afterClick(["only"], none, "only", false)).toEqual(none);
});

test("the last value skips what is missing", () => {
  expect(last([1, 0, null])).toBe(0);
  expect(last([null])).toBeUndefined();
});
