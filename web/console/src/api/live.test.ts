import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live } from "./live";
import { items, cluster } from "./types";

const body = (...names: string[]) => JSON.stringify({ items: names.map((name, id) => ({ id, name })) });

/** A server whose answers the test gives one by one. */
function serve() {
  const asked: { headers: Headers; answer: (r: Response) => void }[] = [];
  vi.stubGlobal("fetch", (_: string, init: { headers: Headers }) => new Promise<Response>((answer) => asked.push({ headers: init.headers, answer })));
  return asked;
}

const settle = () => vi.advanceTimersByTimeAsync(0);
beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("asks once at a time and again for what changed meanwhile", async () => {
  const asked = serve();
  const list = new Live("/v2/clusters", items(cluster));
  list.refresh();
  list.refresh();
  list.refresh();
  expect(asked).toHaveLength(1);
  asked[0]!.answer(new Response(body("a"), { headers: { ETag: '"1"' } }));
  await settle();
  expect(list.value.get().items).toMatchObject([{ name: "a" }]);
  expect(asked).toHaveLength(2);
  expect(asked[1]!.headers.get("If-None-Match")).toBe('"1"');
});

test("keeps the same items while the answer is the same", async () => {
  const asked = serve();
  const list = new Live("/v2/clusters", items(cluster));
  let changes = 0;
  list.value.follow(() => changes++);
  for (const response of [new Response(body("a"), { headers: { ETag: '"1"' } }), new Response(null, { status: 304 }), new Response(body("a"), { headers: { ETag: '"2"' } })]) {
    list.refresh();
    asked.at(-1)!.answer(response);
    await settle();
  }
  expect(asked).toHaveLength(3);
  expect(changes).toBe(1);
});

test("keeps old items beside an error, and says when they were confirmed", async () => {
  const asked = serve();
  const list = new Live("/v2/clusters", items(cluster));
  const answer = async (response: Response) => {
    list.refresh();
    asked.at(-1)!.answer(response);
    await settle();
  };
  await answer(new Response(body("a")));
  const confirmed = Date.now();
  await vi.advanceTimersByTimeAsync(5000);
  await answer(new Response("", { status: 500 }));
  expect(list.value.get()).toMatchObject({ items: [{ name: "a" }], error: { status: 500 }, at: confirmed });
  await answer(new Response('{"items":[{"id":"x"}]}'));
  expect(list.value.get().error?.detail).toContain("$.items[0].id");
  await answer(new Response(body("a")));
  expect(list.value.get()).toEqual({ items: [expect.objectContaining({ name: "a" })] });
});

test("a list that the server lacks is one of a newer server", async () => {
  const asked = serve();
  const list = new Live("/v2/gpu-devices", items(cluster));
  list.refresh();
  asked[0]!.answer(new Response("", { status: 404 }));
  await settle();
  expect(list.value.get()).toMatchObject({ older: true });
  expect(list.value.get().items).toBeUndefined();
});

test("slow answers are asked for seldom", async () => {
  const asked = serve();
  const list = new Live("/v2/clusters", items(cluster));
  list.refresh();
  await vi.advanceTimersByTimeAsync(1000);
  asked[0]!.answer(new Response(body("a")));
  await settle();
  list.refresh();
  list.refresh();
  await vi.advanceTimersByTimeAsync(8000);
  expect(asked).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1001);
  expect(asked).toHaveLength(2);
});
