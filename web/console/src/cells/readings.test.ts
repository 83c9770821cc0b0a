import { describe, expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import type { PanelData, Series } from "../model/panel";
import { cut } from "../format/cut";
import { fitSize } from "./fit";
import { csvOfReadings, readings } from "./readings";
import { scaleOf, shareOf, zones } from "./scale";
import { areaPath, linePath, pieces } from "./sparkline";
import { widthsOf } from "./paint/table";

const panelOf = (more: Partial<Panel>): Panel => ({ id: 1, kind: "stat", title: "T", x: 0, y: 0, w: 4, h: 4, ...more });
const dataOf = (...answers: Series[][]): PanelData => ({ answers, range: { from: 0, to: 100 }, step: 15, marks: [] });
const one = (labels: Record<string, string>, ...values: number[]): Series => ({ labels, times: values.map((_, i) => i * 15), values });

describe("readings", () => {
  const targets = panelOf({
    unit: "short",
    queries: [{ expr: "a", legend: "down" }, { expr: "b", legend: "of" }],
    thresholds: [{ color: "green" }, { color: "red", from: 1 }],
    overrides: [{ matching: "^of$", properties: { thresholds: { mode: "absolute", steps: [{ color: "text", value: null }] } } }],
  });
  test("are the newest number of each series, with name, unit and colour", () => {
    const list = readings(targets, dataOf([one({}, 0, 2)], [one({}, 1500)]));
    expect(list.map(({ name, value, shown, color }) => [name, value, shown.text + shown.suffix, color])).toEqual([
      ["down", 2, "2", "red"],
      ["of", 1500, "1.50 K", "text"],
    ]);
  });
  test("have the meaning's text and colour", () => {
    const panel = panelOf({ thresholds: [{ color: "text" }], values: [{ value: 1, text: "up", color: "green" }, { value: 2, text: "odd" }] });
    expect(readings(panel, dataOf([one({}, 1), one({}, 2)])).map((r) => [r.shown.text, r.color])).toEqual([["up", "green"], ["odd", "text"]]);
  });
  test("are blue without thresholds, as in Grafana", () => expect(readings(panelOf({}), dataOf([one({}, 1)]))[0]!.color).toBe("blue"));
  test("leave out what has no number now", () => expect(readings(targets, dataOf([one({}, NaN)], [one({}, 1, NaN)]))).toEqual([]));
  test("leave out what ended more than five minutes ago", () => {
    const at = (to: number, instant: boolean) => readings(panelOf({ queries: [{ expr: "a", instant }] }), { ...dataOf([one({}, 1, 2)]), range: { from: 0, to } }).length;
    expect([at(315, false), at(316, false), at(316, true)]).toEqual([1, 0, 1]);
  });
  test("are named by the labels, or by the panel", () => {
    expect(readings(panelOf({ queries: [{ expr: "a", legend: "{{w}}" }] }), dataOf([one({ w: "n1" }, 1), one({}, 2)])).map((r) => r.name)).toEqual(["n1", "T"]);
  });
  test("are rows of CSV", () => {
    expect(csvOfReadings(targets, dataOf([one({}, -2)], [one({}, 1 / 3)]), ["Name", "Value"])).toEqual([["Name", "Value"], ["down", "-2"], ["of", "0.3333333333333333"]]);
  });
});

describe("a bar gauge's scale", () => {
  test("is the panel's, or what the values need", () => {
    expect(scaleOf(panelOf({ min: 0, max: 100 }), [150])).toEqual({ min: 0, max: 100 });
    expect(scaleOf(panelOf({ min: 0 }), [3, 8])).toEqual({ min: 0, max: 8 });
    expect(scaleOf(panelOf({}), [-5, 5, Infinity])).toEqual({ min: -5, max: 5 });
    expect(scaleOf(panelOf({}), [0])).toEqual({ min: 0, max: 1 });
  });
  test("fills a share from 0 to 1", () => {
    expect([-1, 0, 25, 100, 101, NaN, Infinity].map((v) => shareOf({ min: 0, max: 100 }, v))).toEqual([0, 0, 0.25, 1, 1, 0, 1]);
  });
  test("has zones of the thresholds inside of it", () => {
    const thresholds = [{ color: "green" }, { color: "orange", from: 80 }, { color: "red", from: 120 }];
    expect(zones(thresholds, { min: 0, max: 100 })).toEqual([{ color: "green", from: 0, to: 0.8 }, { color: "orange", from: 0.8, to: 1 }]);
    expect(zones(undefined, { min: 0, max: 100 })).toEqual([]);
  });
});

describe("a sparkline", () => {
  const range = { from: 0, to: 60 };
  test("spans the box, least at its foot", () => {
    expect(pieces(one({}, 1, 3, 2), range, 15, 60, 10)).toEqual([[[0, 10], [15, 0], [30, 5]]]);
  });
  test("is nothing in a panel that has no size yet", () => expect(pieces(one({}, 1, 3, 2), range, 15, -22, 42)).toEqual([]));
  test("is in the middle when all values are equal", () => expect(pieces(one({}, 4, 4), range, 15, 60, 10)).toEqual([[[0, 5], [15, 5]]]));
  test("ends at what is missing", () => {
    expect(pieces(one({}, 1, 2, NaN, 1, 2), range, 15, 60, 10)).toHaveLength(2);
    expect(pieces({ labels: {}, times: [0, 15, 55, 60], values: [1, 2, 1, 2] }, range, 15, 60, 10)).toHaveLength(2);
    expect(pieces(one({}, 1), range, 15, 60, 10)).toEqual([]);
  });
  test("is a path", () => {
    const list = pieces(one({}, 1, 2), range, 15, 60, 10);
    expect(linePath(list)).toBe("M0.0,10.0L15.0,0.0");
    expect(areaPath(list, 12)).toBe("M0.0,12.0L0.0,10.0L15.0,0.0L15.0,12.0Z");
  });
});

describe("texts in their room", () => {
  test("have the size that fits the widest, within bounds", () => {
    expect(fitSize([2, 4], 100, 100, 10, 60)).toBe(25);
    expect(fitSize([1], 1000, 36, 10, 60)).toBe(30);
    expect(fitSize([1], 1000, 1000, 10, 60)).toBe(60);
    expect(fitSize([50], 100, 100, 13, 60)).toBe(13);
    expect(fitSize([0], 100, 1000, 13, 60)).toBe(60);
  });
  test("are cut with an ellipsis", () => {
    const width = (text: string) => text.length;
    expect(cut("worker-17", 9, width)).toBe("worker-17");
    expect(cut("worker-17", 5, width)).toBe("work…");
    expect(cut("worker-17", 0, width)).toBe("");
  });
  test("of a picture's columns share it", () => {
    expect(widthsOf([50, 50], [undefined, undefined], 200)).toEqual([100, 100]);
    expect(widthsOf([50, 50], [80, undefined], 200)).toEqual([80, 120]);
    expect(widthsOf([50, 50], [80, 100], 200)).toEqual([90, 110]);
    expect(widthsOf([50, 50], [80, undefined], 120)).toEqual([50, 70]);
    expect(widthsOf([20, 300], [undefined, 400], 320)).toEqual([20, 300]);
  });
});
