import { parser } from "@lezer/yaml";
import { expect, test } from "vitest";
import document from "../../../../../docs/metrics-config.schema.json";
import { nativeMetrics } from "../native";
import { about, builtinOf, complete, type Sources } from "./complete";
import { outline } from "./outline";
import type { Schema } from "./schema";

const schema = document as unknown as Schema;
const page = `# HELP vllm:req_total Requests.
# TYPE vllm:req_total counter
vllm:req_total{reason="stop",engine="0"} 3
vllm:req_total{reason="abort",engine="0"} 1
# TYPE vllm:lat histogram
vllm:lat_bucket{engine="0",le="1"} 1
`;
const metrics = nativeMetrics(page);
const sources: Sources = {
  schema,
  builtin: builtinOf({
    gpustack_metrics: { "gpustack:old": { type: "gauge", description: "Old." } },
    runtime_mapping: { vLLM: { "*": { "vllm:known": "gpustack:old" }, "<0.11.1": { "vllm:before": "gpustack:old" } }, SGLang: { "*": {} } },
  }),
  instance: { runtime: "vLLM", version: "0.23.0+cu", metrics, reports: new Map([["vllm:lat", { name: "vllm:lat", type: "histogram", samples: 1, unreadable: 0, why: "", outcomes: [{ family: "gpustack:l", samples: 1, why: "" }] }]]) },
};
const words = { builtIn: "built in", unmapped: "unmapped", becomes: (n: string) => `becomes ${n}`, everyVersion: "every version", versions: (v: string) => v };

function options(text: string) {
  const pos = text.indexOf("|");
  const whole = text.replace("|", "");
  const got = complete(whole, pos, outline(parser.parse(whole), whole), sources, words);
  return got?.options.sort((a, b) => (b.boost ?? 0) - (a.boost ?? 0)).map((o) => o.label) ?? [];
}

const first = (text: string, label: string) => {
  const pos = text.indexOf("|");
  const whole = text.replace("|", "");
  return complete(whole, pos, outline(parser.parse(whole), whole), sources, words)?.options.find((o) => o.label === label);
};

const head = "gpustack_metrics:\n  gpustack:new: {type: counter, description: New.}\nruntime_mapping:\n  vLLM:\n    \"*\":\n";

test.each([
  ["|", ["gpustack_metrics", "name_aliases", "runtime_mapping"]],
  ["gpustack_metrics:\n  gpustack:new:\n    |", ["type", "description", "unit"]],
  ["gpustack_metrics:\n  gpustack:new: {type: |", ["gauge", "counter", "histogram", "summary"]],
  ["gpustack_metrics:\n  |\nruntime_mapping:\n  vLLM:\n    \"*\":\n      vllm:x: gpustack:mine\n", ["gpustack:mine", "gpustack:old"]],
  ["runtime_mapping:\n  |", ["vLLM", "SGLang"]],
  ["runtime_mapping:\n  vllm:\n    |", ["*", "<0.11.1", ">=0.23.0"]],
  [head + "      |", ["vllm:req_total", "vllm:lat", "vllm:known", "vllm:before"]],
  [head + "      vllm:lat: gpustack:new\n      v|", ["vllm:req_total", "vllm:known", "vllm:before"]],
  [head + "      vllm:req_total: |", ["gpustack:new", "gpustack:old"]],
  [head + "      vllm:req_total: [gpustack:old, |]", ["gpustack:new", "gpustack:old"]],
  [head + "      vllm:req: {to: gpustack:new, match: {|}}", ["reason", "engine"]],
  [head + "      vllm:req: {to: gpustack:new, match: {reason: [|]}}", ["stop", "abort"]],
  [head + "      vllm:lat: {to: gpustack:new, as: |}", ["cumulative", "gauge", "sum", "count"]],
  [head + "      vllm:lat: {to: gpustack:new, sum_over: [|]}", ["engine"]],
  [head + "      vllm:lat: {to: gpustack:new, fallback: |}", ["true"]],
  ["# |", []],
])("%j", (text, want) => expect(options(text).filter((o) => !["extends", "metric_queries"].includes(o)).slice(0, Math.max(want.length, 1))).toEqual(want));

test("the keys of a target are those of the schema, with their descriptions", () => {
  const keys = options(head + "      vllm:req: {|}");
  expect(keys).toEqual(expect.arrayContaining(["to", "match", "sum_over", "max_over", "scale", "since", "approx"]));
  expect(first(head + "      vllm:req: {|}", "scale")?.info).toContain("Multiplies");
  expect(first(head + "      vllm:req: {|}", "match")?.apply).toBe("match: {‸}");
  expect(first(head + "      vllm:req: {|}", "sum_over")?.apply).toBe("sum_over: [‸]");
});

test("what is inserted is YAML", () => {
  expect(first("runtime_mapping:\n  vLLM:\n    |", "*")?.apply).toBe('"*":\n      ‸');
  expect(first("runtime_mapping:\n  |", "vLLM")?.apply).toBe("vLLM:\n    ‸");
  expect(first(head + "      vllm:r|eq_total: gpustack:new", "vllm:req_total")?.apply).toBeUndefined();
  expect(first(head + '      "vllm:|": x', "vllm:req_total")).toBeDefined();
});

test.each([
  [head + "      vllm:r|eq_total: gpustack:new", ["counter", "Requests."]],
  [head + "      vllm:lat: gpustack:n|ew", ["counter", "New."]],
  [head + "      vllm:lat: gpustack:o|ld", ["gauge, built in", "Old."]],
  [head + "      vllm:lat: {to: gpustack:new, sc|ale: 2}", ["Multiplies values, bounds and sums, not counts."]],
  [head + "      vllm:l|at: gpustack:new", ["histogram", "becomes gpustack:l"]],
  [head + "   |   vllm:lat: gpustack:new", undefined],
])("about %j", (text, want) => {
  const whole = text.replace("|", "");
  expect(about(whole, text.indexOf("|"), outline(parser.parse(whole), whole), sources, words)?.lines).toEqual(want);
});
