import { afterEach, expect, test, vi } from "vitest";
import { clock, stamp, timeTicks, valueTicks } from "./ticks";

afterEach(() => vi.unstubAllEnvs());
const zone = (name: string) => vi.stubEnv("TZ", name);
const at = (text: string) => Date.parse(text) / 1000;

test("ticks are at round times of the viewer's zone", () => {
  zone("Asia/Kolkata"); // half an hour off
  const ticks = timeTicks({ from: at("2026-11-30T10:07:00+05:30"), to: at("2026-11-30T13:07:00+05:30") }, 500);
  expect(ticks.map((t) => t.label)).toEqual(["10:30", "11:00", "11:30", "12:00", "12:30", "13:00"]);
  expect(ticks.every((t) => t.day === "")).toBe(true);
});

test("where the day changes, each day's first tick names it", () => {
  zone("UTC");
  const ticks = timeTicks({ from: at("2026-11-30T23:00:00Z"), to: at("2026-12-01T01:00:00Z") }, 500);
  expect(ticks.map((t) => [t.label, t.day])).toEqual([["23:00", "11-30"], ["23:30", ""], ["00:00", "12-01"], ["00:30", ""], ["01:00", ""]]);
});

test("short ranges have seconds, long ones days alone", () => {
  zone("UTC");
  expect(timeTicks({ from: at("2026-11-30T10:00:00Z"), to: at("2026-11-30T10:01:00Z") }, 500)[1]!.label).toBe("10:00:10");
  const week = timeTicks({ from: at("2026-11-23T10:00:00Z"), to: at("2026-11-30T10:00:00Z") }, 700);
  expect(week.map((t) => t.label)).toEqual(["11-24", "11-25", "11-26", "11-27", "11-28", "11-29", "11-30"]);
});

test("days begin at midnight also where clocks change", () => {
  zone("Europe/Berlin"); // 2026-10-25 has 25 hours
  const days = timeTicks({ from: at("2026-10-24T00:00:00+02:00"), to: at("2026-10-27T00:00:00+01:00") }, 400);
  expect(days.map((t) => clock(t.time))).toEqual(["00:00", "00:00", "00:00", "00:00"]);
  const hours = timeTicks({ from: at("2026-10-24T20:00:00+02:00"), to: at("2026-10-25T20:00:00+01:00") }, 400);
  expect(hours.map((t) => t.label)).toEqual(["00:00", "06:00", "12:00", "18:00"]);
});

test("any range has a bounded number of ticks", () => {
  zone("UTC");
  for (const span of [1, 60, 3600, 86400, 40 * 86400, 400 * 86400, 20 * 365 * 86400]) {
    const ticks = timeTicks({ from: 1.7e9, to: 1.7e9 + span }, 800);
    expect(ticks.length, String(span)).toBeLessThan(13);
    if (span > 1) expect(ticks.length, String(span)).toBeGreaterThan(1);
  }
});

test("a time is written with its date in the viewer's zone", () => {
  zone("Asia/Tokyo");
  expect(stamp(at("2026-11-30T20:05:09Z"))).toBe("2026-12-01 05:05:09");
});

test("values have round steps", () => {
  expect(valueTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(valueTicks(0, 97, 4)).toEqual([0, 25, 50, 75]);
  expect(valueTicks(0, 8, 4)).toEqual([0, 2, 4, 6, 8]);
  expect(valueTicks(0, 8, 3)).toEqual([0, 5]);
  expect(valueTicks(0, 1, 4, "percentunit")).toEqual([0, 0.25, 0.5, 0.75, 1]);
  expect(valueTicks(-3, 3, 3)).toEqual([-2, 0, 2]);
  expect(valueTicks(0, 3e-7, 3)).toEqual([0, 1e-7, 2e-7, 3e-7]);
  expect(valueTicks(1, 1, 5)).toEqual([]);
});

test("steps are round in the unit", () => {
  expect(valueTicks(0, 5000, 5, "bytes")).toEqual([0, 1024, 2048, 3072, 4096]);
  expect(valueTicks(0, 400, 4, "s")).toEqual([0, 120, 240, 360]);
  expect(valueTicks(0, 1.1, 5, "bool")).toEqual([0, 1]);
});

test("steps are no finer than the decimals", () => {
  expect(valueTicks(0, 2, 5, "none", 0)).toEqual([0, 1, 2]);
  expect(valueTicks(0, 0.02, 5, "percentunit", 0)).toEqual([0, 0.01, 0.02]);
});
