import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { makeChange, pathOf, tryChange } from "./change";
import { declined, forgetToken, keepToken, setAsk } from "./token";

interface Asked {
  path: string;
  init: RequestInit & { headers: Headers };
}

let asked: Asked[];

function serve(...answers: Response[]) {
  vi.stubGlobal("fetch", (path: string, init: Asked["init"]) => {
    asked.push({ path, init });
    return Promise.resolve(answers.shift()!);
  });
}

const problem = (status: number, body: object, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/problem+json", ...headers } });

beforeEach(() => {
  asked = [];
  forgetToken();
});
afterEach(() => vi.unstubAllGlobals());

test.each([
  [{ document: "x" }, { comment: "" }, "/v2/metrics/config"],
  [{ document: "x" }, { comment: "a & b", author: "" }, "/v2/metrics/config?comment=a+%26+b"],
  [{ restore: 0 }, { dry_run: "1" }, "/v2/metrics/config/generations/0/restore?dry_run=1"],
])("%o with %o goes to %s", (wanted, parameters, want) => expect(pathOf(wanted, parameters)).toBe(want));

test("names the generation that must be active", async () => {
  serve(Response.json({ status: "ok", generation: 8, workers: 2 }, { headers: { ETag: '"8"' } }));
  expect(await makeChange({ document: "extends: default" }, 7, "why", "me")).toMatchObject({ generation: 8, workers: 2 });
  expect(asked[0]!.path).toBe("/v2/metrics/config?comment=why&author=me");
  expect(asked[0]!.init.headers.get("If-Match")).toBe('"7"');
  expect(asked[0]!.init.body).toBe("extends: default");
});

test("a change that came too late names the active generation", async () => {
  serve(problem(412, { title: "Precondition Failed", status: 412, detail: "generation 8 is active" }, { ETag: '"8"' }));
  await expect(makeChange({ restore: 3 }, 7, "", "")).rejects.toMatchObject({ status: 412, active: 8, detail: "generation 8 is active" });
  expect(asked[0]!.init.body).toBeUndefined();
});

test("says every fault, however many there are", async () => {
  const errors = Array.from({ length: 300 }, (_, i) => ({ pointer: `/gpustack_metrics/gpustack:m${i}/type`, detail: "found nothing, allowed are gauge, counter, histogram", line: i + 1 }));
  serve(problem(422, { title: "Unprocessable Entity", status: 422, errors }));
  await expect(tryChange({ document: "x" }, 0, new AbortController().signal)).rejects.toMatchObject({ status: 422, faults: errors });
});

test("asks for the token even if the viewer closed the dialog before, and goes on", async () => {
  declined.set(true);
  serve(problem(401, { status: 401, detail: "needs the admin token" }), Response.json({ generation: 8 }));
  setAsk(async (accepts) => ((await accepts("secret")) === undefined ? "secret" : undefined));
  expect(await makeChange({ document: "x" }, 7, "", "")).toMatchObject({ generation: 8 });
  expect(asked[1]!.init.headers.get("Authorization")).toBe("Bearer secret");
  expect(asked[1]!.init.headers.get("If-Match")).toBe('"7"');
});

test("a closed dialog leaves the change undone", async () => {
  keepToken("of a reader");
  serve(problem(401, { status: 401, detail: "needs the admin token" }));
  setAsk(() => Promise.resolve(undefined));
  await expect(makeChange({ document: "x" }, 7, "", "")).rejects.toMatchObject({ status: 401 });
});
