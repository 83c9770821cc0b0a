import { expect, test } from "vitest";
import type { NativeReport } from "../api/types";
import { labelsIn, nativeMetrics } from "./native";
import { difference, split } from "./previewdiff";
import { belongsTo, changedNatives, linesOf, linksOf, nameIn, ownersOf } from "./previewlines";
import { filtered, pagesOf } from "./previewrows";
import { windowOf } from "./previewwindow";

const native = `# HELP vllm:lat Latency.
# TYPE vllm:lat histogram
vllm:lat_bucket{le="1"} 1
vllm:lat_sum 2
vllm:lat_count 1
# TYPE vllm:req_total counter
vllm:req_total{reason="a b}",x="\\"q\\""} 3
vllm:req_created 1.7e9
vllm:other 4
`;

const report = (name: string, ...outcomes: [string, number][]): NativeReport => ({ name, type: "", samples: 1, unreadable: 0, why: outcomes.length === 0 ? "unmapped" : "", outcomes: outcomes.map(([family, samples]) => ({ family, samples, why: "" })) });

test.each([
  ["# HELP a:b Text.", "a:b"],
  ["# TYPE a:b gauge", "a:b"],
  ["# EOF", ""],
  ["a_bucket{le=\"1\"} 2", "a_bucket"],
  ["a 1", "a"],
  ['{"a.b",x="1"} 2', "a.b"],
  ["", ""],
])("the name in %j is %j", (line, name) => expect(nameIn(line)).toBe(name));

test("samples belong to the metric that the report names", () => {
  const known = new Set(["vllm:lat", "vllm:req_total"]);
  expect(belongsTo("vllm:lat_bucket", (n) => known.has(n))).toBe("vllm:lat");
  expect(belongsTo("vllm:req", (n) => known.has(n))).toBe("vllm:req_total"); // OpenMetrics' TYPE line
  expect(belongsTo("vllm:req_created", (n) => known.has(n))).toBe(undefined);
  expect(ownersOf(linesOf(native), known)).toEqual([...Array<string>(5).fill("vllm:lat"), "vllm:req_total", "vllm:req_total", undefined, undefined]);
});

test("metrics of a page with their labels", () => {
  const metrics = nativeMetrics(native);
  expect([...metrics.keys()]).toEqual(["vllm:lat", "vllm:req_total", "vllm:req_created", "vllm:other"]);
  expect(metrics.get("vllm:lat")).toEqual({ name: "vllm:lat", type: "histogram", help: "Latency.", labels: new Map() });
  expect([...metrics.get("vllm:req_total")!.labels.get("reason")!]).toEqual(["a b}"]);
  expect(labelsIn('a{x="\\"q\\"",y="l\\n"} 3')).toEqual([["x", '"q"'], ["y", "l\n"]]);
  expect(labelsIn("a 1")).toEqual([]);
});

test("links lead both ways", () => {
  const links = linksOf([report("a", ["u", 2], ["v", 0]), report("b", ["u", 1]), report("c")]);
  expect(links.from.get("u")).toEqual(["a", "b"]);
  expect(links.from.has("v")).toBe(false);
});

test("natives that become something else", () => {
  expect(changedNatives([report("a", ["u", 2]), report("b", ["v", 1])], [report("a", ["u", 2]), report("b"), report("c", ["w", 1])])).toEqual(new Set(["b", "c"]));
});

test.each([
  ["# HELP a Text of a.", ["# HELP a", "Text of a."]],
  ["# TYPE a gauge", ["# TYPE a", "gauge"]],
  ['a{x="} 1"} 2 3', ['a{x="} 1"}', "2 3"]],
  ["a 1", ["a", "1"]],
  ["a", ["a", ""]],
])("%j says %j", (line, want) => expect(split(line)).toEqual(want));

test("added, removed and changed lines stand in their place", () => {
  const before = ["# TYPE a gauge", "a 1", "# TYPE b gauge", 'b{x="1"} 1', 'b{x="2"} 1', "# TYPE c gauge", "c 1", "# TYPE d gauge", "d 1"];
  const after = ["# TYPE a counter", "a 1", "# TYPE b gauge", 'b{x="1"} 2', 'b{x="3"} 1', "# TYPE d gauge", "d 1", "# TYPE e gauge", "e 1"];
  const got = difference(before, after);
  expect(got.lines.map((l) => `${{ same: " ", added: "+", removed: "-", changed: "~" }[l.mark]}${l.text}`)).toEqual([
    "~# TYPE a counter",
    " a 1",
    " # TYPE b gauge",
    '~b{x="1"} 2',
    '+b{x="3"} 1',
    '-b{x="2"} 1',
    "-# TYPE c gauge",
    "-c 1",
    " # TYPE d gauge",
    " d 1",
    "+# TYPE e gauge",
    "+e 1",
  ]);
  expect([got.added, got.removed, got.changed]).toEqual([2, 2, 1]);
  expect(got.lines[0]!.before).toBe("gauge");
});

test("pages that are the same, and pages of nothing", () => {
  const lines = ["# TYPE a gauge", "a 1"];
  expect(difference(lines, lines).lines.every((l) => l.mark === "same")).toBe(true);
  expect(difference(lines, []).lines.map((l) => l.mark)).toEqual(["removed", "removed"]);
  expect(difference([], lines).lines.map((l) => l.mark)).toEqual(["added", "added"]);
  expect(difference([], []).lines).toEqual([]);
});

test("every line of both pages is there once, and no other", () => {
  let seed = 11;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const page = () => ["a", "b", "c", "d", "e"].filter(() => random(3) > 0).flatMap((f) => [`# TYPE ${f} gauge`, ...[1, 2, 3].filter(() => random(2) > 0).map((i) => `${f}{i="${i}"} ${random(2)}`)]);
  for (let i = 0; i < 500; i++) {
    const [before, after] = [page(), page()];
    const { lines } = difference(before, after);
    expect(lines.filter((l) => l.mark !== "removed").map((l) => l.text)).toEqual(after);
    const keys = new Set(after.map((l) => split(l)[0]));
    expect(lines.filter((l) => l.mark === "removed").map((l) => l.text).sort()).toEqual(before.filter((l) => !keys.has(split(l)[0])).sort());
  }
});

const words = { mapped: "", unmapped: "unmapped", added: "added", removed: "removed", changed: "changed" };
const preview = { unified: "# TYPE u gauge\nu 1\n", native: [report("vllm:lat", ["u", 1]), report("vllm:req_total")], coverage: { families: 1, of: 2 } };
const active = { unified: "# TYPE u gauge\nu 1\n# TYPE w counter\nw 3\n", native: [report("vllm:lat", ["u", 1]), report("vllm:req_total", ["w", 1])], coverage: { families: 2, of: 2 } };

test("rows and filters", () => {
  const pages = pagesOf(native, preview, active, words);
  const show = (...[shown, search = ""]: [Parameters<typeof filtered>[1], string?]) => {
    const { native: n, unified: u } = filtered(pages, shown, search);
    return [n.map((r) => r.text.split(/[{ ]/, 1)[0]!).filter((t) => t !== "#"), u.map((r) => r.sign + r.key)];
  };
  expect(show("all")[0]).toHaveLength(6);
  expect(show("mapped")[0]).toEqual(["vllm:lat_bucket", "vllm:lat_sum", "vllm:lat_count"]);
  expect(show("unmapped")[0]).toEqual(["vllm:req_total"]);
  expect(show("changed")).toEqual([["vllm:req_total"], ["−# TYPE w", "−w"]]);
  expect(show("all", "LAT_ sum")).toEqual([["vllm:lat_sum"], ["# TYPE u", "u"]]);
  expect(show("all", "gauge u")).toEqual([["vllm:lat_bucket", "vllm:lat_sum", "vllm:lat_count"], ["# TYPE u"]]);
  expect(pages.native[2]).toMatchObject({ sign: "→", owner: "vllm:lat" });
  expect(pages.native[6]).toMatchObject({ sign: "·", owner: "vllm:req_total", says: "unmapped" });
});

test("without a preview the lines of the native page are there, without a verdict", () => {
  const pages = pagesOf(native, undefined, active, words);
  expect(pages.native).toHaveLength(9);
  expect(pages.native.every((r) => r.sign === "")).toBe(true);
  expect(pages.unified).toEqual([]);
});

test.each([
  [0, 100, 1000, { from: 0, to: 8 }],
  [1000, 100, 1000, { from: 97, to: 113 }],
  [9990, 100, 1000, { from: 996, to: 1000 }],
  [500, 100, 3, { from: 2, to: 3 }],
  [-20, 100, 1000, { from: 0, to: 13 }],
])("at %d of %d pixels, %d rows", (top, height, rows, want) => expect(windowOf(top, height, rows, 10, 3)).toEqual(top === 0 ? { from: 0, to: 13 } : want));
