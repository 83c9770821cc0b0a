import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askPreview, Latest } from "./previewasked";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function latest() {
  const asked: string[] = [];
  const shown: string[] = [];
  const answers: (() => void)[] = [];
  const asks = new Latest<string, string>(
    400,
    (q) => {
      asked.push(q);
      return new Promise((resolve) => answers.push(() => resolve(q.toUpperCase())));
    },
    (answer, question) => shown.push(`${question} ${answer}`),
  );
  return { asks, asked, shown, answer: async () => (answers.shift()!(), await vi.advanceTimersByTimeAsync(0)) };
}

test("only the last of quick questions is asked", async () => {
  const { asks, asked, shown, answer } = latest();
  asks.ask("a");
  await vi.advanceTimersByTimeAsync(399);
  asks.ask("b");
  await vi.advanceTimersByTimeAsync(399);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toEqual(["b"]);
  await answer();
  expect(shown).toEqual(["b B"]);
});

test("one question is asked at a time", async () => {
  const { asks, asked, shown, answer } = latest();
  asks.ask("a");
  await vi.advanceTimersByTimeAsync(400);
  asks.ask("b");
  await vi.advanceTimersByTimeAsync(1000);
  asks.ask("c");
  await vi.advanceTimersByTimeAsync(1000);
  expect(asked).toEqual(["a"]);
  await answer();
  expect(asked).toEqual(["a", "c"]);
  asks.ask("d");
  await answer(); // while d waits for its pause
  expect(asked).toEqual(["a", "c"]);
  await vi.advanceTimersByTimeAsync(400);
  expect(asked).toEqual(["a", "c", "d"]);
  asks.end();
  await answer();
  expect(shown).toEqual(["a A", "c C"]);
});

const json = (status: number, body: unknown, headers: Record<string, string> = {}) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
const good = { unified: "a 1\n", coverage: { families: 1, of: 2 }, native: [{ name: "n", samples: 1 }] };

test.each([
  ["a preview", [json(200, good)], { kind: "page", preview: { unified: "a 1\n", coverage: { families: 1, of: 2 }, native: [{ name: "n", type: "", samples: 1, unreadable: 0, outcomes: [], why: "" }] } }],
  ["a busy server", [json(503, {}, { "Retry-After": "2" }), json(200, good)], expect.objectContaining({ kind: "page" })],
  ["faults", [json(422, { errors: [{ pointer: "/mapping/x", detail: "found x", line: 2 }] })], { kind: "faults", faults: [{ pointer: "/x", detail: "found x", line: 2 }] }],
  ["a runtime of which nothing is mapped", [json(422, { errors: [{ pointer: "/runtime", detail: "found y" }] })], { kind: "none", why: "found y" }],
  ["a server that fails", [json(500, { title: "Internal Server Error", detail: "why" })], { kind: "failed", why: "Internal Server Error: why" }],
])("%s", async (_, answers, want) => {
  const bodies: unknown[] = [];
  vi.stubGlobal("fetch", (_path: string, init: RequestInit) => {
    bodies.push(JSON.parse(init.body as string));
    return Promise.resolve(answers.shift());
  });
  const answer = askPreview({ page: "", runtime: "vLLM", version: "1", document: "a: b" }, new AbortController().signal);
  await vi.advanceTimersByTimeAsync(5000);
  expect(await answer).toEqual(want);
  expect(bodies[0]).toEqual({ page: "# no page\n", runtime: "vLLM", version: "1", mapping: "a: b" });
});
