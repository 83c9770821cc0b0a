import { expect, test } from "vitest";
import { answer } from "./answer";
import { asText, docsOf, proposedIn, secondsOf, wordsOf } from "./words";

const code = (sentence: string) => wordsOf(sentence).filter((w) => w.kind).map((w) => [w.kind, w.text]);

test.each([
  ["Start it again. If the machine is gone for good, run: stackscope worker remove node-1", [["command", "stackscope worker remove node-1"]]],
  ["Run the server on it, or run: stackscope start --port 80. Then check again.", [["command", "stackscope start --port 80"]]],
  ["If it is gone for good, run: stackscope worker remove Node-A", [["command", "stackscope worker remove Node-A"]]],
  ["To go back, run: stackscope mapping restore N. A document stays.", [["command", "stackscope mapping restore N"]]],
  ["Start vLLM with `python -m x`, not with `x`.", [["command", "python -m x"], ["code", "x"]]],
  ["Start SGLang with --enable-metrics.", [["code", "--enable-metrics"]]],
  ["Give the worker --engine url=http://h:1,key-file=/k, or leave it.", [["code", "--engine"]]],
  ["It leaves the inventory after --engine-retention.", [["code", "--engine-retention"]]],
  ["nothing of the mapping becomes gpustack:time_to_first_token_seconds here", [["code", "gpustack:time_to_first_token_seconds"]]],
  ["Its /metrics answers with <b>HTML</b>", [["code", "/metrics"]]],
  ["Map them: stackscope mapping unmapped chat lists them, and a document with extends: default adds.", [["code", "stackscope mapping unmapped"], ["code", "extends: default"]]],
  ["stackscope statuses are no command", []],
  ["no code - here -- at all", []],
])("%s", (sentence, want) => {
  expect(code(sentence)).toEqual(want);
  expect(wordsOf(sentence).map((w) => w.text).join("")).toBe(sentence.replaceAll("`", ""));
});

test.each([
  ["discovery.md#when-an-engine-is-missing", "discovery.md, section “When an engine is missing”"],
  ["running.md", "running.md"],
])("%s", (docs, want) => expect(docsOf(docs)).toBe(want));

test.each([
  ['there is no instance "chatt"; did you mean "chat-0"?', "chat-0"],
  ['there is no worker "a"; did you mean "b\\"c \\u00e9"?', 'b"c é'],
  ['there is no worker "a"; did you mean "\\x00"?', undefined],
  ['there is no instance "did you mean \\"x\\"?"; these are like it: chat-0', undefined],
])("%s", (detail, want) => expect(proposedIn(detail)).toBe(want));

test.each([[0, "< 0.001"], [0.0012, "0.001"], [0.123, "0.12"], [12.4, "12"]])("%d s", (seconds, want) => expect(secondsOf(seconds)).toBe(want));

test("the answer as a text", () => {
  const a = answer(
    {
      subject: { kind: "instance", id: 1, name: "chat" }, checked_at: "2026-01-02T03:04:05Z", seconds: 1.5, ok: false, summary: "The engine refuses connections.",
      findings: [{ id: "engine_refused", severity: "error", subject: { kind: "instance", id: 1, name: "chat" }, hop: "endpoint", what: "Refused.", seen: "connection refused", do: "Start it.", docs: "discovery.md#states" }],
      paths: [{ model_instance_id: 1, model_instance_name: "chat", worker_id: 1, worker_name: "w", hops: [{ hop: "worker", state: "ok", seen: "reports" }, { hop: "endpoint", state: "broken", seen: "refused", seconds: 0.01 }] }],
    },
    "$",
  );
  expect(asText(a, "stackscope doctor --instance chat")).toBe(
    `$ stackscope doctor --instance chat
2026-01-02T03:04:05Z in 1.50 s

The engine refuses connections.

[Error] Refused. (engine_refused, instance chat)
  Seen: connection refused
  What to do: Start it.
  Documentation: discovery.md, section “States”

chat on w
  ✓ Worker: reports
  ✕ Engine's endpoint: refused (0.010 s) <- broken first
`,
  );
});
