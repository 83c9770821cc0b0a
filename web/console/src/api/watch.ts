// Tells when the inventory changed: one stream of server-sent events for all lists of the page. EventSource could not send the token.
import { request } from "./request";
import { EventParser } from "./sse";
import { Value } from "./value";

/** How changes arrive: by the stream, by asking every 10 s, or not at all (hidden tab, nobody follows). */
export type Way = "stream" | "asking" | "off";

export const way = new Value<Way>("off");

const askEvery = 10_000; // ms, where the server gives no stream
const streamAgain = 6; // rounds of asking before the stream is tried again
const silence = 45_000; // ms; the server writes a comment every 15 s
const longestWait = 30_000; // ms

const followers = new Set<() => void>();
let running: AbortController | undefined;

/** Calls back at the beginning and whenever the inventory may have changed; returns what ends that. */
export function watch(changed: () => void): () => void {
  followers.add(changed);
  start();
  return () => {
    followers.delete(changed);
    // A page that follows another one begins before the stream would end.
    if (followers.size === 0) setTimeout(() => followers.size === 0 && stop(), 1000);
  };
}

function start(): void {
  if (followers.size === 0) return;
  document.addEventListener("visibilitychange", onVisibility); // first: the tab may have been opened in the background
  if (running || document.hidden) return;
  running = new AbortController();
  void run(running.signal);
}

function stop(): void {
  running?.abort();
  running = undefined;
  way.set("off");
}

function onVisibility(): void {
  if (document.hidden) stop();
  else start();
}

function tell(): void {
  for (const follower of [...followers]) follower();
}

async function run(ended: AbortSignal): Promise<void> {
  let wait = 1000;
  while (!ended.aborted) {
    const outcome = await stream(ended);
    if (ended.aborted) return;
    if (outcome === "refused") {
      way.set("asking");
      for (let round = 0; round < streamAgain && !ended.aborted; round++) {
        tell();
        await pause(askEvery, ended);
      }
      continue;
    }
    if (outcome === "lasted") wait = 1000;
    else tell(); // lists then show whether the server answers at all
    await pause(wait * (0.8 + 0.4 * Math.random()), ended);
    wait = Math.min(2 * wait, longestWait);
  }
}

/** Follows one stream to its end: whether it delivered something, failed at once, or is not to be had. */
async function stream(ended: AbortSignal): Promise<"lasted" | "failed" | "refused"> {
  const abort = new AbortController();
  const end = () => abort.abort();
  ended.addEventListener("abort", end);
  let timer = setTimeout(end, silence);
  let delivered = false;
  try {
    const response = await request("/v2/watch", { signal: abort.signal, headers: { Accept: "text/event-stream" }, cache: "no-store" });
    if (!response.ok || !response.body || !/event-stream/.test(response.headers.get("Content-Type") ?? "")) {
      void response.body?.cancel();
      return "refused"; // 503: too many streams; 404: an older server
    }
    const parser = new EventParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(end, silence);
      way.set("stream");
      delivered = true;
      if (parser.push(value).some((e) => e.event === "changed")) tell();
    }
  } catch (error) {
    if (!delivered && !abort.signal.aborted && (error as { status?: number }).status !== 0) return "refused";
  } finally {
    clearTimeout(timer);
    ended.removeEventListener("abort", end);
  }
  return delivered ? "lasted" : "failed";
}

function pause(ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      ended.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    ended.addEventListener("abort", done);
  });
}
