import { expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import type { PanelData } from "../model/panel";
import { tableOf } from "./csv";
import { heatmap } from "./heatmap";
import { stateTimeline } from "./timeline";
import { timeseries } from "./timeseries";

const panel = (kind: Panel["kind"], more: Partial<Panel>): Panel => ({ id: 1, kind, title: "", x: 0, y: 0, w: 12, h: 8, ...more });
const data = (...series: { labels: Record<string, string>; values: number[] }[]): PanelData => ({
  answers: [series.map((s) => ({ ...s, times: s.values.map((_, i) => 1_800_000_000 + i * 15) }))],
  range: { from: 1_800_000_000, to: 1_800_000_015 }, step: 15, marks: [],
});

test("times are ISO 8601, numbers are whole, a missing one is empty", () => {
  expect(tableOf([0, 1.5], ["a", "b"], [[0.1 + 0.2, null], [1e21, 0]])).toEqual([
    ["time", "a", "b"],
    ["1970-01-01T00:00:00.000Z", "0.30000000000000004", "1e+21"],
    ["1970-01-01T00:00:01.500Z", "", "0"],
  ]);
});

test("a name is no formula", () => {
  expect(tableOf([], ["=1+1", "-a", "b"], [])).toEqual([["time", "'=1+1", "'-a", "b"]]);
});

test("each kind of chart has its table", () => {
  const lines = panel("timeseries", { queries: [{ expr: "x", legend: "{{gpu}}" }] });
  expect(timeseries.rows(lines, data({ labels: { gpu: "0" }, values: [1, NaN] }))).toEqual([["time", "0"], ["2027-01-15T08:00:00.000Z", "1"], ["2027-01-15T08:00:15.000Z", ""]]);
  const states = panel("state-timeline", { queries: [{ expr: "x", legend: "{{i}}" }], values: [{ value: 1, text: "running" }] });
  expect(stateTimeline.rows(states, data({ labels: { i: "a" }, values: [1, 2] })).map((r) => r[1])).toEqual(["a", "running", "2"]);
  const [head, ...body] = heatmap.rows(panel("heatmap", { unit: "s" }), data({ labels: { le: "1" }, values: [1, 2] }, { labels: { le: "+Inf" }, values: [4, 2] }));
  expect(head).toEqual(["time", "0 s to 1 s", "above 1 s"]);
  expect(body.map((r) => r.slice(1))).toEqual([["1", "3"], ["2", "0"]]);
});
