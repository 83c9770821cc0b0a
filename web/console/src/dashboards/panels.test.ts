import { describe, expect, test } from "vitest";
import type { Panel, Row } from "../model/dashboard";
import type { Values } from "../prometheus/template";
import { csv, fileName } from "./csv";
import { CursorBus } from "../charts/cursor";
import { carried, grafanaURL } from "./urls";
import { columnsWidth, heightOf, panelOf, place, widthOf } from "./layout";
import { allowed, fillLink } from "./links";
import { marksOf } from "./marks";
import { gone, question, reason } from "./nodata";
import { prometheusURL } from "./urls";
import { selectorsIn } from "./selectors";

const panel = (kind: Panel["kind"], id: number, x: number, y: number, w: number, h: number): Panel => ({ id, kind, title: `p${id}`, x, y, w, h });

describe("layout", () => {
  const row: Row = { panels: [panel("table", 1, 0, 0, 24, 9), panel("stat", 2, 0, 9, 4, 4), panel("stat", 3, 4, 9, 4, 4), panel("timeseries", 4, 0, 13, 8, 8), panel("timeseries", 5, 8, 13, 8, 8), panel("timeseries", 6, 16, 13, 8, 8)] };
  test("wide pages are as the dashboard says, in bands", () => {
    const bands = place(row, "wide");
    expect(bands.map((b) => [b.lines, b.grows])).toEqual([[9, true], [4, false], [8, false]]);
    expect(bands.map((b) => b.panels.map((p) => [p.column, p.line, p.columns, p.lines]))).toEqual([
      [[1, 1, 24, 9]],
      [[1, 1, 4, 4], [5, 1, 4, 4]],
      [[1, 1, 8, 8], [9, 1, 8, 8], [17, 1, 8, 8]],
    ]);
  });
  test("panels of unequal heights share a band", () => {
    const bands = place({ panels: [panel("table", 1, 0, 0, 14, 14), panel("timeseries", 2, 14, 0, 10, 7), panel("timeseries", 3, 14, 7, 10, 7), panel("table", 4, 0, 14, 24, 5)] }, "wide");
    expect(bands.map((b) => [b.panels.map((p) => p.panel.id), b.lines, b.grows])).toEqual([[[1, 2, 3], 14, false], [[4], 5, true]]);
  });
  test.each(["middle", "narrow"] as const)("%s pages: no panel overlaps another, and lines are full", (width) => {
    for (const band of place(row, width)) {
      const taken = new Set<string>();
      for (const p of band.panels)
        for (let x = p.column; x < p.column + p.columns; x++)
          for (let y = p.line; y < p.line + p.lines; y++) {
            expect(x).toBeLessThanOrEqual(24);
            expect(taken.has(`${x} ${y}`)).toBe(false);
            taken.add(`${x} ${y}`);
          }
      expect(taken.size).toBe(24 * band.lines);
    }
  });
  test("narrow pages: tables grow, graphs take the whole width", () => {
    const bands = place(row, "narrow");
    expect(bands.map((b) => [b.panels.map((p) => [p.panel.id, p.columns]), b.grows])).toEqual([
      [[[1, 24]], true],
      [[[2, 12], [3, 12]], false],
      [[[4, 24]], false],
      [[[5, 24]], false],
      [[[6, 24]], false],
    ]);
  });
  test("widths", () => {
    expect([599, 600, 899, 900].map(widthOf)).toEqual(["narrow", "middle", "middle", "wide"]);
    expect(heightOf(8)).toBe(296);
    expect(columnsWidth(24, 1000)).toBe(1000);
    expect(columnsWidth(12, 1000) * 2 + 8).toBe(1000);
  });
  test("a panel by its id", () => {
    expect(panelOf([row], 4)?.title).toBe("p4");
    expect(panelOf([row], NaN)).toBeUndefined();
  });
});

describe("selectors", () => {
  test.each([
    ["up", ["up"]],
    ['sum by (a, b) (rate(gpustack:x_total{c="$c", role!="router"}[$__rate_interval]))', ['gpustack:x_total{role!="router"}']],
    ['histogram_quantile(0.95, sum by (le) (rate(h_bucket{c=~"$c", le!="+Inf"}[5m])))', ["h_count"]],
    ["a / on (x) group_left (y) b offset 1m > bool 0", ["a", "b"]],
    ['count_values by (c) ("generation", m{c="$c"}) unless n', ["m", "n"]],
    ['label_replace(a, "to", "$1", "from", "(.*)") or vector(0)', ["a"]],
    ['{__name__=~"a|b", c="$c"}', ['{__name__=~"a|b"}']],
    ["1e9 * a ^ 2 + NaN", ["a"]],
    ["topk($n, a) and a", ["a"]],
    ["$price * time() * x", ["x"]],
    ['a{x="}"} + max_over_time(b[1h:5m] @ end())', ['a{x="}"}', "b"]],
    ['m{s="a"} unless m{s="b", c="$c"}', ["m"]],
    ["", []],
    ['a{x="unclosed', ["a"]],
  ])("%s", (expr, want) => expect(selectorsIn(expr).map((s) => s.text)).toEqual(want));
  test("labels that variables choose", () =>
    expect(selectorsIn('x{cluster_name="$cluster_name", m=~"${model}", r="y"}')[0]!.chosen).toEqual([{ label: "cluster_name", variable: "cluster_name" }, { label: "m", variable: "model" }]));
});

describe("why there is no data", () => {
  const q = question(['a{c="$c"} / b{c="$c", m=~"$m"}'], 1800)!;
  const values: Values = { c: { values: ["c1"], pattern: false }, m: { values: ["m1", "m2"], pattern: true } };
  const row = (asked: string, value: number, labels: Record<string, string> = {}) => ({ labels: { asked, ...labels }, times: [0], values: [value] });
  test("one query for all metrics", () => {
    expect(q.selectors.map((s) => s.metric)).toEqual(["a", "b"]);
    expect(q.expr).toContain("count by (c, m) (b)");
    expect(question(["vector(1)"], 60)).toBeUndefined();
  });
  test("nothing exports it", () => expect(reason(q, [row("0", 3, { c: "c1" })], values)).toEqual({ kind: "never", metric: "b" }));
  test("at another time", () =>
    expect(reason(q, [row("0", -500, { c: "c1" }), row("0", -700, { c: "c2" })], values)).toEqual({ kind: "earlier", metric: "a", last: 700 }));
  test("others have it", () => {
    expect(reason(q, [row("0", 3, { c: "c3" }), row("0", 3, { c: "c2" })], values)).toEqual({ kind: "others", metric: "a", variable: "c", values: ["c1"], others: ["c2", "c3"] });
    expect(reason(q, [row("0", 3, { c: "c1" }), row("1", 1, { c: "c1", m: "m3" })], values)).toMatchObject({ kind: "others", metric: "b", variable: "m", others: ["m3"] });
  });
  test("all is there", () => expect(reason(q, [row("0", 3, { c: "c1" }), row("1", 1, { c: "c1", m: "m2" })], values)).toEqual({ kind: "empty", metrics: ["a", "b"] }));
  test("a pattern of metrics is asked about this range alone", () => {
    const pattern = question(['{__name__=~"a|b", c="$c"}'], 60)!;
    expect(pattern.expr).not.toContain("timestamp");
    expect(reason(pattern, [], values)).toBeUndefined();
    expect(reason(pattern, [row("0", 1, { c: "c1" })], values)).toMatchObject({ kind: "empty" });
  });
  test("a chosen value that is gone needs no question", () => {
    const variable = { name: "m", label: "Model", query: "" };
    const chosen = [{ variable, values: ["x"], options: ["a", "b"], missing: ["x"] }];
    expect(gone(['up{m="$m"}'], chosen)).toEqual({ kind: "gone", label: "Model", values: ["x"], options: ["a", "b"] });
    expect(gone(["up"], chosen)).toBeUndefined();
    expect(gone(['up{m="$m"}'], [{ ...chosen[0]!, values: ["x", "a"] }])).toBeUndefined();
  });
  test("All excludes nothing", () => expect(reason(q, [row("0", 3, { c: "x" }), row("1", 1, { c: "x" })], { c: { all: true, values: [], pattern: true } })).toMatchObject({ kind: "empty" }));
});

describe("links", () => {
  const values: Values = { cluster_name: { values: ["a b&c"], pattern: false }, w: { values: ["x", "y"], pattern: true }, every: { all: true, values: [], pattern: true } };
  const time = { from: "now-1h", to: "now" };
  test.each([
    ["/d/x/x?var-c=$cluster_name&${__url_time_range}", "/d/x/x?var-c=a%20b%26c&from=now-1h&to=now"],
    ["/d/x?var-w=${w}", "/d/x?var-w=x&var-w=y"],
    ["/d/x?var-e=$every", "/d/x?var-e=%24__all"],
    ["/d/x?var-m=${__data.fields.model name}&var-n=${__field.labels.n}", "/d/x?var-m=M%2F1&var-n=N"],
    ["/d/x?var-m=${__data.fields.gone}&a=b", "/d/x?a=b"],
    ["/d/${__data.fields.uid}/?a=b", "/d/u1/?a=b"],
    ["/d/${__data.fields.gone}/?a=b", undefined],
    ["javascript:alert(1)", undefined],
    ["//evil.example/x", undefined],
    ["https://example.org/?q=${__data.fields.uid}", "https://example.org/?q=u1"],
  ])("%s", (url, want) => expect(fillLink(url, values, time, { "model name": "M/1", uid: "u1" }, { n: "N" })).toBe(want));
  test.each(["/\\evil.example", "data:text/html,x", "ftp://x", "", "\tjavascript:x", "/a\nb"])("%j is not allowed", (url) => expect(allowed(url)).toBeUndefined());
  test("Prometheus' page gets a tab for each query", () => {
    const url = new URL(prometheusURL("/prometheus", [{ expr: 'up{a="b"}', instant: false }, { expr: "x", instant: true }], { from: 0, to: 1800 }, true), "http://h");
    expect(url.pathname).toBe("/prometheus/query");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      "g0.expr": 'up{a="b"}', "g0.tab": "graph", "g0.range_input": "30m", "g0.end_input": "1970-01-01 00:30:00",
      "g1.expr": "x", "g1.tab": "table", "g1.range_input": "30m", "g1.moment_input": "1970-01-01 00:30:00",
    });
  });
  test("other dashboards take over cluster and time; Grafana everything", () => {
    const query = new URLSearchParams("var-cluster_name=c&var-model_name=m&from=now-1h&marks-off=x");
    expect(carried(query)).toBe("?var-cluster_name=c&from=now-1h");
    expect(grafanaURL("https://g.example/grafana/", "u", "s", query)).toBe("https://g.example/grafana/d/u/s?var-cluster_name=c&var-model_name=m&from=now-1h");
  });
});

describe("marks", () => {
  const a = { name: "Restarts", expr: "", text: "{{i}} restarted", color: "orange", step: 60 };
  test("values that are times, each once, in the range", () =>
    expect(marksOf({ ...a, valueIsTime: true }, [{ labels: { i: "x" }, times: [60, 120, 180], values: [50_000, 90_000, 90_000] }], { from: 60, to: 180 })).toEqual([
      { time: 90, name: "Restarts", text: "x restarted", color: "orange" },
    ]));
  test("the beginning of each run of samples", () =>
    expect(marksOf(a, [{ labels: {}, times: [60, 120, 300, 360], values: [1, 1, 1, 0] }], { from: 0, to: 400 }).map((m) => m.time)).toEqual([60, 300]));
});

describe("cursor", () => {
  test("all but the one that set it are told", () => {
    const bus = new CursorBus();
    const [a, b] = [{}, {}];
    const got: unknown[] = [];
    bus.follow(a, (time) => got.push(["a", time]));
    const end = bus.follow(b, (time) => got.push(["b", time]));
    bus.set(5, a);
    bus.set(5, a);
    end();
    bus.set(undefined, a);
    expect(got).toEqual([["b", 5]]);
    expect(bus.get()).toBeUndefined();
  });
});

describe("files", () => {
  test("CSV", () => expect(csv([["a", 'say "x"'], ["1,5", "l1\nl2"]])).toBe('a,"say ""x"""\r\n"1,5","l1\nl2"\r\n'));
  test.each([["Requests / s (p95)", "Requests-s-p95.csv"], ["../..", "panel.csv"], ["请求", "请求.csv"]])("%s", (title, name) => expect(fileName(title, "csv")).toBe(name));
});
