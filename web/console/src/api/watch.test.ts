import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Way } from "./watch";

class Page extends EventTarget {
  hidden = false;
  hide(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

interface Stream {
  write(text: string): void;
  end(): void;
  aborted(): boolean;
}

let page: Page;
let streams: Stream[];
let refuse: number | undefined;
let ends: (() => void)[];

/** A server that opens a stream for each request, or refuses it. */
function serve(_: string, init: { signal: AbortSignal }): Promise<Response> {
  if (refuse === 0) return Promise.reject(new TypeError("refused"));
  if (refuse !== undefined) return Promise.resolve(new Response("", { status: refuse }));
  let control!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (c) => void (control = c) });
  init.signal.addEventListener("abort", () => control.error(new DOMException("aborted", "AbortError")));
  streams.push({ write: (text) => control.enqueue(new TextEncoder().encode(text)), end: () => control.close(), aborted: () => init.signal.aborted });
  return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
}

async function follow(): Promise<{ changes: () => number; way: () => Way; end: () => void }> {
  vi.resetModules();
  const { watch, way } = await import("./watch");
  let n = 0;
  const end = watch(() => n++);
  ends.push(end);
  await vi.advanceTimersByTimeAsync(0);
  return { changes: () => n, way: () => way.get(), end };
}

const event = 'event: changed\ndata: {"tag":"1"}\n\n';
const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  page = new Page();
  streams = [];
  ends = [];
  refuse = undefined;
  vi.stubGlobal("document", page);
  vi.stubGlobal("fetch", serve);
});
afterEach(async () => {
  for (const end of ends) end();
  await later(2000);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("tells each change, and no comment", async () => {
  const followed = await follow();
  streams[0]!.write(event);
  await later(0);
  expect([followed.changes(), followed.way()]).toEqual([1, "stream"]);
  streams[0]!.write(": still here\n\n");
  await later(0);
  expect(followed.changes()).toBe(1);
});

test("opens a stream again that ended or fell silent", async () => {
  await follow();
  streams[0]!.write(event);
  await later(0);
  streams[0]!.end();
  await later(2000);
  expect(streams).toHaveLength(2);
  await later(45_001);
  expect(streams[1]!.aborted()).toBe(true);
  await later(3000);
  expect(streams).toHaveLength(3);
});

test("asks every 10 s where the server refuses, and tries the stream again", async () => {
  refuse = 503;
  const followed = await follow();
  expect([followed.changes(), followed.way()]).toEqual([1, "asking"]);
  await later(20_000);
  expect(followed.changes()).toBe(3);
  refuse = undefined;
  await later(40_000);
  expect(streams).toHaveLength(1);
});

test("waits longer and longer where the server does not answer", async () => {
  refuse = 0;
  const followed = await follow();
  await later(60_000);
  const tries = followed.changes();
  expect(tries).toBeGreaterThan(3);
  expect(tries).toBeLessThan(9);
});

test("stops in a hidden tab and goes on when it is seen", async () => {
  const followed = await follow();
  page.hide(true);
  expect([streams[0]!.aborted(), followed.way()]).toEqual([true, "off"]);
  await later(60_000);
  expect(streams).toHaveLength(1);
  page.hide(false);
  await later(0);
  expect(streams).toHaveLength(2);
});

test("begins when a tab that was opened in the background is seen", async () => {
  page.hidden = true;
  await follow();
  expect(streams).toHaveLength(0);
  page.hide(false);
  await later(0);
  expect(streams).toHaveLength(1);
});

test("one stream serves all, and ends after the last", async () => {
  const followed = await follow();
  const { watch } = await import("./watch");
  const end = watch(() => undefined);
  followed.end();
  await later(2000);
  expect([streams.length, streams[0]!.aborted()]).toEqual([1, false]);
  end();
  await later(2000);
  expect(streams[0]!.aborted()).toBe(true);
});
