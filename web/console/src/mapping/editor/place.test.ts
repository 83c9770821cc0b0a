import { expect, test } from "vitest";
import { placeAt } from "./place";

/** The place of "|" in a text. */
function at(text: string) {
  const pos = text.indexOf("|");
  const place = placeAt(text.replace("|", ""), pos);
  return place && `${place.part} ${place.path.join("/")} ${JSON.stringify(text.slice(place.from, pos))}`;
}

const doc = "gpustack_metrics:\n  gpustack:a:\n    type: gauge\n# a comment\n\nruntime_mapping:\n  vLLM:\n    \"<0.11.1\":\n      vllm:x: gpustack:a\n";

test.each([
  ["|", 'key  ""'],
  ["ext|", 'key  "ext"'],
  ["extends: |", 'value extends ""'],
  ["extends: def|", 'value extends "def"'],
  ["gpustack_metrics:\n  |", 'key gpustack_metrics ""'],
  ["gpustack_metrics:\n  gpustack:a:\n    ty|", 'key gpustack_metrics/gpustack:a "ty"'],
  ["gpustack_metrics:\n  gpustack:a: {type: gauge, des|}", 'key gpustack_metrics/gpustack:a "des"'],
  ["gpustack_metrics:\n  gpustack:a: {type: |}", 'value gpustack_metrics/gpustack:a/type ""'],
  [doc + "|", 'key  ""'],
  [doc + "  |", 'key runtime_mapping ""'],
  [doc + "    |", 'key runtime_mapping/vLLM ""'],
  [doc + "      vllm:y|", 'key runtime_mapping/vLLM/<0.11.1 "vllm:y"'],
  [doc + "      vllm:y: gpu|", 'value runtime_mapping/vLLM/<0.11.1/vllm:y "gpu"'],
  [doc + "      vllm:y: {to: gpustack:a, ma|", 'key runtime_mapping/vLLM/<0.11.1/vllm:y "ma"'],
  [doc + "      vllm:y: {to: gpu|", 'value runtime_mapping/vLLM/<0.11.1/vllm:y/to "gpu"'],
  [doc + "      vllm:y: {to: gpustack:a, match: {re|}}", 'key runtime_mapping/vLLM/<0.11.1/vllm:y/match "re"'],
  [doc + "      vllm:y: {to: gpustack:a, match: {reason: st|}}", 'value runtime_mapping/vLLM/<0.11.1/vllm:y/match/reason "st"'],
  [doc + "      vllm:y: {match: {reason: [a, b|]}}", 'item runtime_mapping/vLLM/<0.11.1/vllm:y/match/reason/- "b"'],
  [doc + "      vllm:y: {match: {reason: [a]}, sum_over: [|]}", 'item runtime_mapping/vLLM/<0.11.1/vllm:y/sum_over/- ""'],
  [doc + '      "vllm:y": {match: {"a, {": "x|', 'value runtime_mapping/vLLM/<0.11.1/vllm:y/match/a, { "\\"x"'],
  [doc + "      vllm:y:\n        to: |", 'value runtime_mapping/vLLM/<0.11.1/vllm:y/to ""'],
  [doc + "      vllm:y:\n        - |", 'item runtime_mapping/vLLM/<0.11.1/vllm:y/- ""'],
  [doc + "      vllm:y:\n      - to: gpustack:a\n        sc|", 'key runtime_mapping/vLLM/<0.11.1/vllm:y/- "sc"'],
  [doc + "      vllm:y:\n      - to: gpustack:a\n      - to: |", 'value runtime_mapping/vLLM/<0.11.1/vllm:y/-/to ""'],
  [doc + "      vllm:y:\n      - to: gpustack:a\n      vllm:z|", 'key runtime_mapping/vLLM/<0.11.1 "vllm:z"'],
  [doc + "      vllm:y: {to: gpustack:a,\n        mat|", 'key runtime_mapping/vLLM/<0.11.1/vllm:y "mat"'],
  [doc + "      vllm:y: {to: gpustack:a,\n        match: {a: [\n          b|", 'item runtime_mapping/vLLM/<0.11.1/vllm:y/match/a/- "b"'],
  [doc + "      vllm:y: {to: gpustack:a}\n      vllm:z: |", 'value runtime_mapping/vLLM/<0.11.1/vllm:z ""'],
  ["a: b # c|", undefined],
  ["a: {b: c} # d|", undefined],
  ["# vllm:|", undefined],
])("%j", (text, want) => expect(at(text)).toBe(want));

test("a key of many lines above is found", () => {
  const text = "runtime_mapping:\n  vLLM:\n    \"*\":\n" + "      vllm:a: gpustack:a\n".repeat(20_000) + "      x";
  expect(placeAt(text, text.length)?.path).toEqual(["runtime_mapping", "vLLM", "*"]);
});

test("any text has an answer", () => {
  const parts = ["a", ":", " ", "\n", "{", "}", "[", "]", ",", '"', "'", "#", "- ", "  ", "vllm:x: ", "\\"];
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647);
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: random() % 40 }, () => parts[random() % parts.length]).join("");
    const pos = text.length === 0 ? 0 : random() % (text.length + 1);
    const place = placeAt(text, pos);
    if (place) expect(place.from).toBeLessThanOrEqual(Math.max(pos, place.from));
  }
});
