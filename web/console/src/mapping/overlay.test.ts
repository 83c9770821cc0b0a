import { parser } from "@lezer/yaml";
import { expect, test } from "vitest";
import { outline } from "./editor/outline";
import { example, mapMetric, overlay, scalar, suggest } from "./overlay";

const metric = { name: "vllm:req_total", type: "counter", help: "Requests: all.", labels: new Map() };

function put(text: string, known: string[] = [], runtime = "vLLM") {
  const got = mapMetric(text, outline(parser.parse(text), text), metric, runtime, new Set(known));
  if (!got) return undefined;
  let after = text;
  for (const e of [...got.edits].reverse()) after = after.slice(0, e.from) + e.insert + after.slice(e.to);
  for (const n of got.names) expect(after.slice(n.from, n.to)).toBe("gpustack:req");
  return { after, names: got.names.length };
}

const unified = '  gpustack:req:\n    type: counter\n    description: "Requests: all."\n';

test("an entry is put into an overlay that has nothing else", () => {
  expect(put("extends: default\n# a comment\n")).toEqual({
    after: `extends: default\n# a comment\ngpustack_metrics:\n${unified}runtime_mapping:\n  vLLM:\n    "*":\n      vllm:req_total: gpustack:req\n`,
    names: 2,
  });
  expect(put("extends: default")?.after).toContain("extends: default\ngpustack_metrics:\n");
  expect(put("")?.after).toMatch(/^gpustack_metrics:\n/);
});

test("an entry is put behind others, in any letter case of the runtime", () => {
  const text = 'extends: default\ngpustack_metrics:\n    gpustack:a:\n        type: gauge\nruntime_mapping:\n    vllm:\n        "<1":\n            x: gpustack:a\n        "*":\n            y: gpustack:a\n    SGLang: {}\n';
  expect(put(text)?.after).toBe(
    'extends: default\ngpustack_metrics:\n    gpustack:a:\n        type: gauge\n    gpustack:req:\n      type: counter\n      description: "Requests: all."\nruntime_mapping:\n    vllm:\n        "<1":\n            x: gpustack:a\n        "*":\n            y: gpustack:a\n            vllm:req_total: gpustack:req\n    SGLang: {}\n',
  );
});

test("what is missing is made, and empty braces give way", () => {
  expect(put("gpustack_metrics: {}\nruntime_mapping:\n  SGLang:\n    \"*\":\n      a: gpustack:b\n")?.after).toBe(
    `gpustack_metrics: \n${unified}runtime_mapping:\n  SGLang:\n    "*":\n      a: gpustack:b\n  vLLM:\n    "*":\n      vllm:req_total: gpustack:req\n`,
  );
  expect(put("gpustack_metrics:\nruntime_mapping:\n  vLLM:\n")?.after).toBe(`gpustack_metrics:\n${unified}runtime_mapping:\n  vLLM:\n    "*":\n      vllm:req_total: gpustack:req\n`);
});

test("a unified metric that is known is not defined again", () => {
  expect(put("extends: default\n", ["gpustack:req"])).toEqual({ after: 'extends: default\nruntime_mapping:\n  vLLM:\n    "*":\n      vllm:req_total: gpustack:req\n', names: 1 });
});

test("the result is a document with the entry", () => {
  const { after } = put("extends: default\nruntime_mapping:\n  vLLM:\n    \"*\":\n      a: [gpustack:x]\n")!;
  const root = outline(parser.parse(after), after)!;
  expect(root.entries.map((e) => e.key)).toEqual(["extends", "runtime_mapping", "gpustack_metrics"]);
});

test("places in braces are left alone", () => {
  expect(put('{"gpustack_metrics": {}, "runtime_mapping": {}}')).toBeUndefined();
  expect(put("gpustack_metrics: {gpustack:a: {type: gauge}}\n")).toBeUndefined();
  expect(put("- a\n")).toBeUndefined();
});

test.each([
  ["vllm:req_total", "counter", "gpustack:req", "counter"],
  ["vllm:lat", "histogram", "gpustack:lat", "histogram"],
  ["sglang:x", "", "gpustack:x", "gauge"],
  ["plain_total", "unknown", "gpustack:plain", "counter"],
  ["a.b", "gauge", "gpustack:a_b", "gauge"],
])("%s, a %j, is suggested to be %s", (name, type, unifiedName, unifiedType) => expect(suggest({ name, type })).toEqual({ native: name, unified: unifiedName, type: unifiedType }));

test.each([
  ["vllm:x", "vllm:x"],
  ["*", '"*"'],
  ["<0.11.1", '"<0.11.1"'],
  ["Envoy AI Gateway", "Envoy AI Gateway"],
  ["null", '"null"'],
  ["1.0", '"1.0"'],
  ["a: b", '"a: b"'],
  ["a #b", '"a #b"'],
])("%j is written %s", (text, want) => expect(scalar(text)).toBe(want));

test("the example is of the engine itself", () => {
  expect(example(["python_info", "vllm:a_created", "http_requests_total", "vllm:b"])).toBe("vllm:b");
  expect(example(["python_info"])).toBeUndefined();
});

test("the first overlay is a document, and so is its example", () => {
  const text = overlay({ about: "About.", exampleOf: "Example." }, metric, "vLLM");
  expect(text).toMatch(/^# About\.\nextends: default\n\n# Example\.\n# gpustack_metrics:\n/);
  expect(outline(parser.parse(text), text)!.entries.map((e) => e.key)).toEqual(["extends"]);
  const used = text.replace("# Example.\n", "").replace(/^# (?!About)/gm, "");
  expect(outline(parser.parse(used), used)!.entries.map((e) => e.key)).toEqual(["extends", "gpustack_metrics", "runtime_mapping"]);
  expect(overlay({ about: "About.", exampleOf: "" })).toBe("# About.\nextends: default\n");
});
