import { parser } from "@lezer/yaml";
import { expect, test } from "vitest";
import { placed } from "./faults";
import { find, outline, value } from "./outline";

const text = `# a comment
extends: default
gpustack_metrics:
  gpustack:a: {type: gauge, description: "x \\"y\\""}
  gpustack:b:
    type: counter
    description: >-
      two
      lines
runtime_mapping:
  vLLM:
    "*":
      vllm:x: [gpustack:a, {to: gpustack:b, match: {a/b: [c]}}]
      vllm:y:
      - to: gpustack:a
        scale: 2
      - gpustack:b
      vllm:z: null
      vllm:w:
`;
const root = outline(parser.parse(text), text)!;

test("keys and values", () => {
  expect(root.entries.map((e) => e.key)).toEqual(["extends", "gpustack_metrics", "runtime_mapping"]);
  expect(value(root, "gpustack_metrics", "gpustack:a", "description")?.text).toBe('x "y"');
  expect(value(root, "gpustack_metrics", "gpustack:b", "description")?.text).toBe("two lines");
  expect(value(root, "runtime_mapping", "vLLM", "*")?.entries.map((e) => e.key)).toEqual(["vllm:x", "vllm:y", "vllm:z", "vllm:w"]);
  expect(outline(parser.parse("# nothing\n"), "# nothing\n")).toBeUndefined();
});

test.each([
  ["/extends", "default"],
  ["/gpustack_metrics", "gpustack_metrics"],
  ["/gpustack_metrics/gpustack:b/type", "counter"],
  ["/runtime_mapping/vLLM/*", '"*"'],
  ["/runtime_mapping/vLLM/*/vllm:x/1/match/a~1b/0", "c"],
  ["/runtime_mapping/vLLM/*/vllm:y/0", "to"],
  ["/runtime_mapping/vLLM/*/vllm:y/1", "gpustack:b"],
  ["/runtime_mapping/vLLM/*/vllm:w", "vllm:w"],
  ["/runtime_mapping/vLLM/missing/x", "vLLM"],
  ["", undefined],
])("the place of %j is %j", (pointer, want) => {
  const range = find(root, pointer);
  expect(range && text.slice(range.from, range.to)).toBe(want);
});

test("faults stand at their pointer in the server's line, else at the line", () => {
  const show = placed(
    [
      { pointer: "/gpustack_metrics/gpustack:b/type", detail: "no line" },
      { pointer: "/gpustack_metrics/gpustack:b/type", detail: "its line", line: 6 },
      { pointer: "/gpustack_metrics/gpustack:b/type", detail: "another line", line: 2 },
      { pointer: "", detail: "nowhere" },
      { pointer: "", detail: "behind the end", line: 4000 },
    ],
    text,
    root,
  ).map((f) => [f.detail, f.line, text.slice(f.from, f.to)]);
  expect(show).toEqual([
    ["nowhere", 1, "# a comment"],
    ["another line", 2, "extends: default"],
    ["no line", 6, "counter"],
    ["its line", 6, "counter"],
    ["behind the end", 4000, ""],
  ]);
});
