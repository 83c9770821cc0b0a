import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { unreachableSince } from "./connection";
import { json, request, RequestError } from "./request";
import { forgetToken, getToken, hasToken, keepToken, setAsk } from "./token";

const problem = (status: number, detail: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ title: "Refused", status, detail }), { status, headers: { "Content-Type": "application/problem+json", ...headers } });

interface Sent {
  path: string;
  init: RequestInit & { headers: Headers };
}

/** A server that answers by the token of a request. */
function serve(answer: (token: string | null, path: string) => Response): Sent[] {
  const sent: Sent[] = [];
  vi.stubGlobal("fetch", (path: string, init: Sent["init"]) => {
    sent.push({ path, init });
    return Promise.resolve(answer(init.headers.get("Authorization"), path));
  });
  return sent;
}

beforeEach(forgetToken);
afterEach(() => vi.unstubAllGlobals());

describe("request", () => {
  test("asks once for the token when several requests are refused, and sends each again", async () => {
    const sent = serve((token) => (token === "Bearer right" ? new Response("ok") : problem(401, "needs the admin token")));
    let asked = 0;
    const verdicts: (string | undefined)[] = [];
    setAsk(async (accepts) => {
      asked++;
      verdicts.push(await accepts("wrong"), await accepts("right"));
      return "right";
    });
    const answers = await Promise.all([request("/v2/a"), request("/v2/b"), request("/v2/c")]);
    expect(await Promise.all(answers.map((a) => a.text()))).toEqual(["ok", "ok", "ok"]);
    expect(asked).toBe(1);
    expect(verdicts[0]).toContain("not the admin token");
    expect(verdicts[1]).toBeUndefined();
    expect(sent.every((s) => !s.path.includes("right"))).toBe(true);
    expect(hasToken.get()).toBe(true);
    await request("/v2/d");
    expect(asked).toBe(1);
  });

  test("has a limit of time unless the caller has one", async () => {
    const sent = serve(() => new Response("ok"));
    const own = new AbortController().signal;
    await request("/v2/a");
    await request("/v2/b", { signal: own });
    expect(sent[0]!.init.signal).toBeInstanceOf(AbortSignal);
    expect(sent[1]!.init.signal).toBe(own);
  });

  test("gives a request up that the server does not answer in time", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => AbortSignal.abort(new DOMException("too late", "TimeoutError")));
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => Promise.reject(init.signal!.reason));
    await expect(request("/v2/a")).rejects.toMatchObject({ status: 0 });
    timeout.mockRestore();
  });

  test("fails without asking again after the viewer closed the dialog", async () => {
    serve(() => problem(401, "needs the admin token"));
    let asked = 0;
    setAsk(() => {
      asked++;
      return Promise.resolve(undefined);
    });
    await expect(request("/v2/a")).rejects.toMatchObject({ status: 401, detail: "needs the admin token" });
    await expect(request("/v2/a")).rejects.toBeInstanceOf(RequestError);
    expect(asked).toBe(1);
  });

  test("asks again when a kept token is no longer right", async () => {
    keepToken("old");
    serve((token) => (token === "Bearer new" ? new Response("ok") : problem(401, "changed")));
    setAsk(async (accepts) => ((await accepts("new")) === undefined ? "new" : undefined));
    expect((await request("/v2/a")).status).toBe(200);
    expect(getToken()).toBe("new");
  });

  test("explains 403 and 429", async () => {
    serve((_, path) => (path === "/a" ? problem(403, "cross-site") : problem(429, "too many", { "Retry-After": "7" })));
    await expect(request("/a")).rejects.toMatchObject({ status: 403, detail: expect.stringContaining("server's own address") });
    await expect(request("/b")).rejects.toMatchObject({ status: 429, retryAfter: 7, detail: expect.stringContaining("7 s") });
  });

  test("never asks another host", async () => {
    const sent = serve(() => new Response("ok"));
    await expect(request("https://example.com/")).rejects.toBeInstanceOf(RequestError);
    await expect(request("//example.com/")).rejects.toBeInstanceOf(RequestError);
    expect(sent).toEqual([]);
  });

  test("knows since when the server does not answer", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("refused")));
    await expect(request("/v2/a")).rejects.toMatchObject({ status: 0 });
    expect(unreachableSince.get()).toBeTypeOf("number");
    serve(() => new Response("ok"));
    await request("/v2/a");
    expect(unreachableSince.get()).toBeUndefined();
  });

  test("leaves an abort as it is", async () => {
    const abort = new AbortController();
    vi.stubGlobal("fetch", () => {
      abort.abort();
      return Promise.reject(new DOMException("aborted", "AbortError"));
    });
    await expect(request("/v2/a", { signal: abort.signal })).rejects.toMatchObject({ name: "AbortError" });
    expect(unreachableSince.get()).toBeUndefined();
  });
});

describe("json", () => {
  test("decodes, checks, and names the place of a fault", async () => {
    serve(() => Response.json({ a: 1 }));
    expect(await json("/v2/a", (v) => (v as { a: number }).a)).toBe(1);
    const check = () => {
      throw new Error("$.a: not text");
    };
    await expect(json("/v2/a", check)).rejects.toMatchObject({ detail: "/v2/a: $.a: not text" });
  });

  test("turns problem documents and other answers into errors", async () => {
    serve((_, path) => (path === "/a" ? problem(404, "no such model") : new Response("<h1>no</h1>", { status: 502, headers: { "Content-Type": "text/html" } })));
    await expect(json("/a")).rejects.toMatchObject({ status: 404, title: "Refused", detail: "no such model" });
    await expect(json("/b")).rejects.toMatchObject({ status: 502, detail: "" });
    serve(() => new Response("not json"));
    await expect(json("/c")).rejects.toMatchObject({ title: "The answer is not JSON" });
  });
});
