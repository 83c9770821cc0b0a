import { describe, expect, test } from "vitest";
import { bounded, closed, decode, mostSeries, sample } from "./answer";
import { formatDuration, parseDuration } from "./duration";
import { asFailure, failureOf } from "./failure";
import { Queue } from "./queue";
import { align, allowedStep, stepOf } from "./step";
import { fill, variablesIn, type Values } from "./template";
import { RequestError } from "../api/request";

describe("durations", () => {
  test.each([["15s", 15], ["1h30m", 5400], ["2d", 172800], ["250ms", 0.25], ["1w", 604800]])("%s", (text, seconds) => expect(parseDuration(text)).toBe(seconds));
  test.each(["", "15", "s", "-5m", "5 m", "5m!", "off"])("%j is none", (text) => expect(parseDuration(text)).toBeUndefined());
  test.each([[90, "90s"], [5400, "90m"], [7200, "2h"], [172800, "2d"], [0, "1s"]])("%d s is %s", (s, text) => expect(formatDuration(s)).toBe(text));
});

describe("steps", () => {
  test.each([
    [1800, 600, "15s", 15], // 6 s a point would do, but the least step is 15 s
    [1800, 600, undefined, 15],
    [1800, 600, "1m", 60],
    [86400, 600, "15s", 300],
    [604800, 600, "15s", 3600],
    [604800, 100000, "15s", 60], // Prometheus refuses more than 11,000 points
    [300, 600, "1s", 1],
  ])("%d s on %d px, at least %s: %d s", (span, width, min, step) => expect(stepOf({ from: 0, to: span }, width, min)).toBe(step));
  test("a range of years has a step, too", () => {
    const step = stepOf({ from: 0, to: 20 * 365 * 86400 }, 10, "15s");
    expect((20 * 365 * 86400) / step).toBeLessThan(11_000);
  });
  test("start and end are multiples of the step", () => expect(align({ from: 1007, to: 2014 }, 15)).toEqual({ from: 1005, to: 2010 }));
  test("a fixed step grows where Prometheus would refuse the points", () => {
    expect(allowedStep({ from: 0, to: 3600 }, 60)).toBe(60);
    expect(allowedStep({ from: 0, to: 11_000 * 600 }, 60)).toBe(601);
  });
});

describe("templates", () => {
  const values: Values = {
    cluster: { values: ["a.b"], pattern: false },
    worker: { values: ["gpu-1", "gpu(2)"], pattern: true },
    one: { values: ["x+y"], pattern: true },
    every: { all: true, values: [], pattern: true },
    odd: { values: ['say "hi"\\'], pattern: false },
    apostrophe: { values: ["it's"], pattern: false },
    apostrophes: { values: ["it's", "a.b"], pattern: true },
  };
  test.each([
    ['up{c="$cluster"}', 'up{c="a.b"}'],
    ['up{c=~"${cluster:regex}"}', 'up{c=~"a\\\\.b"}'],
    ['up{w=~"$worker"}', 'up{w=~"(gpu-1|gpu\\\\(2\\\\))"}'],
    ['up{w=~"${one}"}', 'up{w=~"x\\\\+y"}'],
    ['up{w=~"$every"}', 'up{w=~".*"}'],
    ['up{w="$odd"}', 'up{w="say \\"hi\\"\\\\"}'],
    ['up{w="$apostrophe"}', 'up{w="it\\x27s"}'],
    ['up{w=~"$apostrophes"}', 'up{w=~"(it\\x27s|a\\\\.b)"}'],
    ['label_replace(up, "a", "$1-$2", "b", "(.*)/(.*)")', 'label_replace(up, "a", "$1-$2", "b", "(.*)/(.*)")'],
    ["rate(x[$__rate_interval])", "rate(x[60s])"],
    ["max_over_time(x[$__range:2m]) / $__range_s", "max_over_time(x[1800s:2m]) / 1800"],
    ["x[$__interval]", "x[30s]"],
    ['up{x="$unknown"}', 'up{x="$unknown"}'],
    ['up{x="$constructor"}', 'up{x="$constructor"}'],
  ])("%s", (expr, want) => expect(fill(expr, values, 1800, 30)).toBe(want));
  test("the rate interval holds four scrapes, and more than a step", () => {
    expect(fill("$__rate_interval", {}, 60, 15)).toBe("60s");
    expect(fill("$__rate_interval", {}, 60, 300)).toBe("315s");
  });
  test("names of variables, without Grafana's own and groups", () => expect(variablesIn("$a ${b} ${c:regex} $__range $1 $a")).toEqual(["a", "b", "c"]));
});

describe("answers", () => {
  test("a matrix", () =>
    expect(decode({ status: "success", data: { resultType: "matrix", result: [{ metric: { a: "b" }, values: [[1, "2"], [3, "NaN"], [5, "+Inf"]] }] } }).series).toEqual([
      { labels: { a: "b" }, times: [1, 3, 5], values: [2, NaN, Infinity] },
    ]));
  test("a vector, a scalar, a histogram without a value", () => {
    expect(decode({ data: { resultType: "vector", result: [{ metric: {}, value: [1, "-Inf"] }] } }).series).toEqual([{ labels: {}, times: [1], values: [-Infinity] }]);
    expect(decode({ data: { resultType: "scalar", result: [7, "0.5"] } }).series).toEqual([{ labels: {}, times: [7], values: [0.5] }]);
    expect(decode({ data: { resultType: "vector", result: [{ metric: {}, histogram: [1, {}] }] } }).series).toEqual([{ labels: {}, times: [], values: [] }]);
  });
  test("warnings stay", () => expect(decode({ data: { resultType: "vector", result: [] }, warnings: ["w"] }).warnings).toEqual(["w"]));
  test("too many series are told", () => {
    const result = Array.from({ length: mostSeries + 5 }, (_, i) => ({ metric: { i: String(i) }, value: [1, "1"] }));
    const a = decode({ data: { resultType: "vector", result } });
    expect(a.series).toHaveLength(mostSeries);
    expect(a.of).toBe(mostSeries + 5);
  });
  test.each([undefined, null, {}, { data: {} }, { data: { result: "no" } }])("%j is no answer", (doc) => expect(() => decode(doc)).toThrow());
  test("a cut answer is closed after its last whole series", () => {
    const whole = JSON.stringify({ status: "success", data: { resultType: "matrix", result: [1, 2, 3].map((i) => ({ metric: { i: String(i) }, values: [[1, "1"], [2, "2"]] })) } });
    const text = closed(whole.slice(0, whole.length - 12))!;
    expect(decode(JSON.parse(text)).series.map((s) => s.labels["i"])).toEqual(["1", "2"]);
    expect(closed('{"status":"success"')).toBeUndefined();
  });
  test("a body is read up to its limit", async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (c) => c.enqueue(new Uint8Array(1000).fill(97)) });
    const { text, cut } = await bounded(new Response(body), 5000);
    expect(cut).toBe(true);
    expect(text.length).toBeLessThan(8000);
    expect(await bounded(new Response("é".repeat(3)))).toEqual({ text: "ééé", cut: false });
  });
  test.each([["1e3", 1000], ["NaN", NaN], ["+Inf", Infinity]])("sample %s", (text, v) => expect(sample(text)).toBe(v));
});

describe("failures", () => {
  test("Prometheus' own words, and what to do", () => {
    const f = failureOf(400, JSON.stringify({ status: "error", errorType: "bad_data", error: 'invalid parameter "query"' }));
    expect(f.message).toBe('invalid parameter "query"');
    expect(f.todo).toMatch(/report/);
    expect(failureOf(422, JSON.stringify({ errorType: "execution", error: "query processing would load too many samples into memory" })).todo).toMatch(/shorter/);
    expect(failureOf(503, JSON.stringify({ errorType: "timeout", error: "query timed out in expression evaluation" })).todo).toMatch(/shorter/);
  });
  test("bodies that are no JSON, or empty", () => {
    expect(failureOf(502, "bad gateway\nmore").message).toBe("bad gateway");
    expect(failureOf(503, "").message).toMatch(/503/);
    // /readyz knows nothing of the Prometheus of --prometheus-url.
    expect(failureOf(502, JSON.stringify({ errorType: "unavailable", error: "http://p:9090 did not answer" })).todo).toMatch(/not with that of --prometheus-url/);
  });
  test("a problem document", () => expect(failureOf(404, JSON.stringify({ title: "Not Found", detail: "no Prometheus" })).message).toBe("no Prometheus"));
  test("errors of requests", () => {
    expect(asFailure(new RequestError(0, "x", "y")).todo).toMatch(/running/);
    expect(asFailure(new DOMException("t", "TimeoutError")).todo).toMatch(/shorter/);
    expect(asFailure("odd").message).toBe("odd");
  });
});

describe("queue", () => {
  const defer = () => {
    let resolve!: (v: string) => void;
    let reject!: (e: Error) => void;
    const promise = new Promise<string>((a, b) => ((resolve = a), (reject = b)));
    return { promise, resolve, reject };
  };
  test("equal keys share a run; the next one asks again", async () => {
    const q = new Queue<string>(2);
    let runs = 0;
    const task = async () => String(++runs);
    expect(await Promise.all([q.run("k", task), q.run("k", task)])).toEqual(["1", "1"]);
    expect(await q.run("k", task)).toBe("2");
  });
  test("at most so many at a time, in order", async () => {
    const q = new Queue<string>(2);
    const started: string[] = [];
    const tasks = ["a", "b", "c", "d"].map((name) => ({ name, ...defer() }));
    const all = tasks.map((t) => q.run(t.name, () => (started.push(t.name), t.promise)));
    expect(started).toEqual(["a", "b"]);
    tasks[1]!.resolve("b");
    await all[1];
    await Promise.resolve();
    expect(started).toEqual(["a", "b", "c"]);
    tasks[0]!.reject(new Error("no"));
    await expect(all[0]).rejects.toThrow("no");
    await Promise.resolve();
    expect(started).toEqual(["a", "b", "c", "d"]);
    tasks[2]!.resolve("");
    tasks[3]!.resolve("");
    await Promise.all([all[2], all[3]]);
  });
  test("a run ends when the last of those who wait leaves", async () => {
    const q = new Queue<string>(1);
    let signal!: AbortSignal;
    const run = (s: AbortSignal) => ((signal = s), new Promise<string>((_, no) => s.addEventListener("abort", () => no(s.reason as Error))));
    const [a, b] = [new AbortController(), new AbortController()];
    const first = q.run("k", run, a.signal);
    const second = q.run("k", run, b.signal);
    a.abort();
    await expect(first).rejects.toThrow();
    expect(signal.aborted).toBe(false);
    b.abort();
    await expect(second).rejects.toThrow();
    expect(signal.aborted).toBe(true);
    await expect(q.run("k", async () => "again")).resolves.toBe("again");
  });
  test("who leaves the line never runs", async () => {
    const q = new Queue<string>(1);
    const first = defer();
    const running = q.run("a", () => first.promise);
    const abort = new AbortController();
    let ran = false;
    const waiting = q.run("b", async () => ((ran = true), "b"), abort.signal);
    abort.abort();
    await expect(waiting).rejects.toThrow();
    first.resolve("a");
    await running;
    await expect(q.run("c", async () => "c")).resolves.toBe("c");
    expect(ran).toBe(false);
  });
});
