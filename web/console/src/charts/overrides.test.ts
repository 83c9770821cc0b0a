import { expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import { looks, nameOf } from "./overrides";

const panel = (more: Partial<Panel>): Panel => ({ id: 1, kind: "timeseries", title: "", x: 0, y: 0, w: 12, h: 8, ...more });

test("a series always has a name", () => {
  const named = panel({ queries: [{ expr: "x", legend: "{{model_name}} " }] });
  expect(nameOf(named, 0, { model_name: "a" })).toBe("a");
  expect(nameOf(named, 0, { runtime: "vLLM", worker_name: "w" })).toBe('{runtime="vLLM", worker_name="w"}');
  expect(nameOf(named, 0, {})).toBe("(none)");
});

test("without overrides a line is thin and a little filled, a stacked one more", () => {
  expect(looks(panel({}))("a")).toMatchObject({ fill: 0.08, width: 1, stacked: false, stepped: false });
  expect(looks(panel({ stacked: true }))("a")).toMatchObject({ fill: 0.4, stacked: true });
});

test("all properties that the dashboards use", () => {
  const look = looks(panel({ stacked: true, overrides: [{ matching: "total", properties: {
    color: { mode: "fixed", fixedColor: "text" }, "custom.axisSoftMax": 4, "custom.fillOpacity": 0, "custom.lineInterpolation": "stepAfter",
    "custom.lineStyle": { fill: "dash", dash: [8, 6] }, "custom.lineWidth": 2, "custom.stacking": { group: "A", mode: "none" },
  } }] }));
  expect(look("total")).toMatchObject({ color: "text", softMax: 4, fill: 0, stepped: true, dash: [8, 6], width: 2, stacked: false });
  expect(look("totals")).toMatchObject({ fill: 0.4, stacked: true });
});

test("a later override wins, the earlier one's other properties stay", () => {
  const look = looks(panel({ overrides: [{ matching: ".*", properties: { "custom.fillOpacity": 0, "custom.lineWidth": 1 } }, { matching: "mean.*", properties: { "custom.lineWidth": 2 } }] }));
  expect(look("mean of all")).toMatchObject({ fill: 0, width: 2 });
});

// stringToJsRegex of @grafana/data: new RegExp(`^${text}$`).
test("matching is anchored as Grafana anchors it", () => {
  const look = looks(panel({ overrides: [{ matching: "499|429", properties: { "custom.lineWidth": 2 } }] }));
  expect(["499", "429", "4999", "1429", "4290"].map((n) => look(n).width)).toEqual([2, 2, 2, 2, 1]);
});

test("an expression that is none matches nothing", () => {
  expect(looks(panel({ overrides: [{ matching: "(", properties: { "custom.lineWidth": 2 } }] }))("(").width).toBe(1);
});

test("mappings and thresholds in Grafana's shape", () => {
  const look = looks(panel({ values: [{ value: 0, text: "off" }], overrides: [{ matching: "b", properties: {
    mappings: [{ type: "value", options: { "1": { text: "on", color: "green", index: 0 } } }, { type: "range", options: {} }],
    thresholds: { mode: "absolute", steps: [{ color: "green", value: null }, { color: "red", value: 5 }] },
  } }] }));
  expect(look("a").values).toEqual([{ value: 0, text: "off" }]);
  expect(look("b").values).toEqual([{ value: 1, text: "on", color: "green" }]);
  expect(look("b").thresholds).toEqual([{ color: "green" }, { color: "red", from: 5 }]);
});
