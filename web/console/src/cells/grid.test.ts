import { describe, expect, test } from "vitest";
import type { Panel } from "../model/dashboard";
import type { PanelData, Series } from "../model/panel";
import { cellOf, columnsOf, fieldsOf, meaningsOf, thresholdsOf, titleOf, withVariables } from "./columns";
import { csvOf, gridOf, inOrder, prose } from "./grid";

const panelOf = (more: Partial<Panel>): Panel => ({ id: 1, kind: "table", title: "T", x: 0, y: 0, w: 24, h: 8, ...more });
const dataOf = (...answers: Series[][]): PanelData => ({ answers, range: { from: 0, to: 100 }, step: 15, marks: [] });
const one = (labels: Record<string, string>, value: number): Series => ({ labels, times: [100], values: [value] });

const problems = panelOf({
  title: "Active problems",
  sortBy: "Severity",
  noValue: "No active problems.",
  columns: [
    { title: "Severity", field: "Value", query: 1, background: true, width: 80, values: [{ value: 3, text: "critical", color: "red" }, { value: 2, text: "warning", color: "orange" }] },
    { title: "Problem", field: "problem", label: "problem", link: { title: "Show ${__data.fields.problem} ${__data.fields.none}", url: "/d/${__data.fields.uid}" } },
    { title: "What to do", field: "todo", label: "todo" },
    { title: "uid", field: "uid", label: "uid", hidden: true },
  ],
  overrides: [{ matching: "^(Value|Severity)$", properties: { "custom.align": "center" } }],
});
const sick = dataOf([
  one({ problem: "Disk almost full", todo: "Delete models, images or logs", uid: "w" }, 2),
  one({ problem: "=cmd()", todo: "", uid: "x" }, 3),
  one({ problem: "Other", uid: "y" }, 7),
]);

describe("a table", () => {
  const grid = gridOf(problems, sick);
  test("hides what only links use, and sorts by the panel's column", () => {
    expect(grid.columns.map((c) => c.title)).toEqual(["Severity", "Problem", "What to do"]);
    expect(inOrder(grid, grid.order).map((row) => row.labels["problem"])).toEqual(["Other", "=cmd()", "Disk almost full"]);
  });
  test("shows the meaning of a value with its colour, and the value without one", () => {
    const cells = grid.rows.map((row) => cellOf(grid.columns[0]!, row));
    expect(cells).toEqual([{ text: "warning", color: "orange" }, { text: "critical", color: "red" }, { text: "7", color: undefined }]);
  });
  test("takes overrides by title or field", () => expect(grid.columns[0]!.align).toBe("center"));
  test("gives links every label and field", () => {
    const fields = fieldsOf(grid.all, grid.rows[0]!);
    expect(fields).toMatchObject({ Value: "2", problem: "Disk almost full", uid: "w" });
    expect(titleOf(problems.columns![1]!.link!, fields)).toBe("Show Disk almost full ");
  });
  test("gives variables of a field their own place in a link", () => {
    const url = "/d/${__data.fields.uid}/?var-c=${__data.fields.at}&${__url_time_range}";
    expect(withVariables(url, { uid: "w", at: "default&var-worker_name=a/$b&c&var-x=" })).toBe("/d/${__data.fields.uid}/?var-c=default&var-worker_name=a%2F%24b%26c&var-x=&${__url_time_range}");
    expect(withVariables(url, { uid: "w", at: "All" })).toBe(url);
    expect(withVariables(url, {})).toBe(url);
  });
  test("wraps only columns of long texts with blanks", () => expect([...prose(grid)].map((c) => c.title)).toEqual(["What to do"]));
  test("is CSV with meanings, and without formulas", () => {
    expect(csvOf(problems, sick)).toEqual([
      ["Severity", "Problem", "What to do"],
      ["7", "Other", ""],
      ["critical", "'=cmd()", ""],
      ["warning", "Disk almost full", "Delete models, images or logs"],
    ]);
  });
  test("without answers has no rows", () => expect(gridOf(problems, dataOf([])).rows).toEqual([]));
});

describe("cells", () => {
  const table = panelOf({
    queries: [{ expr: "a" }, { expr: "b" }],
    columns: [
      { title: "GPU", field: "gpu", label: "gpu" },
      { title: "Busy", field: "Value #A", query: 1, unit: "percent", decimals: 0, bar: true, max: 100 },
      { title: "Core", field: "Value #B", query: 2, unit: "celsius", thresholds: [{ color: "green" }, { color: "red", from: 90 }] },
    ],
  });
  const grid = gridOf(table, dataOf([one({ gpu: "1" }, 150)], [one({ gpu: "1" }, 90), one({ gpu: "2" }, 20.5)]));
  const cell = (row: number, column: number) => cellOf(grid.columns[column]!, grid.rows[row]!);
  test("a bar is full at most, and blue without thresholds", () => expect(cell(0, 1)).toEqual({ text: "150%", color: "blue", share: 1 }));
  test("thresholds colour the text", () => expect([cell(0, 2), cell(1, 2)]).toEqual([{ text: "90 °C", color: "red" }, { text: "20.5 °C", color: "green" }]));
  test("an absent value is a dash", () => expect(cell(1, 1)).toEqual({ text: "-", absent: true }));
  test("numbers in CSV are in full", () => expect(csvOf(table, dataOf([one({ gpu: "1" }, 1 / 3)]))[1]).toEqual(["1", "0.3333333333333333", ""]));
});

describe("a matrix", () => {
  const matrix = panelOf({
    matrix: { across: "vendor", down: "metric", title: "Metric", width: 330 },
    unit: "percentunit",
    decimals: 0,
    thresholds: [{ color: "orange" }, { color: "green", from: 1 }],
    overrides: [{ matching: "^(?!Metric).*", properties: { "custom.align": "center", "custom.cellOptions": { type: "color-text" } } }],
  });
  const data = dataOf([one({ vendor: "b10", metric: "m" }, 1), one({ vendor: "b9", metric: "a" }, 0.5)]);
  test("has a column for each value of the label across, in natural order", () => {
    const grid = gridOf(matrix, data);
    expect(grid.columns.map((c) => c.title)).toEqual(["Metric", "b9", "b10"]);
    expect(grid.rows.map((row) => grid.columns.map((c) => cellOf(c, row)))).toEqual([
      [{ text: "a" }, { text: "50%", color: "orange" }, { text: "-", absent: true }],
      [{ text: "m" }, { text: "-", absent: true }, { text: "100%", color: "green" }],
    ]);
    expect(grid.columns.map((c) => c.align)).toEqual([undefined, "center", "center"]); // the first is called Metric, not as its label
  });
});

describe("overrides in Grafana's form", () => {
  test("mappings have texts and numbers as keys", () => {
    const mappings = [{ type: "value", options: { not_ready: { text: "not ready", color: "orange", index: 0 }, "1": { text: "yes" } } }, { type: "range", options: { from: 1 } }];
    expect(meaningsOf(mappings)).toEqual([{ value: 1, text: "yes", color: undefined }, { value: "not_ready", text: "not ready", color: "orange" }]);
    const [state] = columnsOf(panelOf({ columns: [{ title: "State", field: "state", label: "state" }], overrides: [{ matching: "[Ss]tate", properties: { mappings, "custom.cellOptions": { type: "color-text" } } }] }), []);
    expect(cellOf(state!, { labels: { state: "not_ready" }, values: [] })).toEqual({ text: "not ready", color: "orange" });
    expect(cellOf(state!, { labels: { state: "new" }, values: [] })).toEqual({ text: "new", color: undefined });
  });
  test("thresholds have a base without a value", () => {
    expect(thresholdsOf({ mode: "absolute", steps: [{ color: "text", value: null }, { color: "red", value: 2 }] })).toEqual([{ color: "text" }, { color: "red", from: 2 }]);
  });
});
