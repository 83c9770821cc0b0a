import { expect, test } from "vitest";
import { age, duration, time } from "./since";

test.each([
  [0, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [3599, "59 min"],
  [3600, "1 h"],
  [7500, "2 h 5 min"],
  [36_060, "10 h"],
  [86_400, "1 d"],
  [273_600, "3 d 4 h"],
  [500 * 86_400, "500 d"],
  [-5, "0 s"],
])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test("a time that is absent, no time or the zero time is not known", () => {
  expect(time(undefined)).toBeUndefined();
  expect(time("soon")).toBeUndefined();
  expect(time("0001-01-01T00:00:00Z")).toBeUndefined();
  expect(time("2026-11-30T12:00:00Z")).toBe(Date.UTC(2026, 10, 30, 12));
});

test("a time ahead of a clock that differs is now", () => {
  expect(age(2000, 1000)).toBe(0);
  expect(age(1000, 3500)).toBe(2.5);
});
