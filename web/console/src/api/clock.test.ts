import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { heard, serverNow } from "./clock";

const answer = (at?: number) => new Response("", at === undefined ? {} : { headers: { Date: new Date(at).toUTCString() } });

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000_000 }));
afterEach(() => void vi.useRealTimers());

test.each([
  ["ahead", -600_000, -600_000],
  ["behind", 600_000, 600_000],
  ["nearly right", 3000, 0],
])("a clock that is %s", (_, by, want) => {
  heard(answer(Date.now() + by));
  expect(serverNow() - Date.now()).toBe(want);
});

test("an answer without a time changes nothing", () => {
  heard(answer(Date.now() + 60_000));
  heard(answer());
  expect(serverNow() - Date.now()).toBe(60_000);
});
