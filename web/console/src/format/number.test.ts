import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import known from "../model/known.json";
import { format, formatAxis, parts } from "./number";

type Row = [unit: string | undefined, decimals: number | undefined, value: number, want: string];

// From the tests of @grafana/data (valueFormats.test.ts, dateTimeFormatters.test.ts) and of its forerunner kbn; those of other units of
// the same formatter (farad, megwatt, mm) are here with the base unit.
const fromGrafana: Row[] = [
  [undefined, undefined, 100, "100"],
  [undefined, undefined, 100.4, "100"],
  [undefined, undefined, 100.5, "101"],
  [undefined, 1, 100, "100.0"],
  [undefined, 1, 100.37, "100.4"],
  [undefined, 1, 100.63, "100.6"],
  [undefined, 2, 100.4, "100.40"],
  [undefined, -2, 186.123, "186"],
  ["short", 0, 98765, "99 K"],
  ["short", 0, 9876543, "10 Mil"],
  ["bytes", 3, 10000000 * 1024, "9.537 GiB"],
  ["watt", 3, 1e9, "1.000 GW"],
  ["joule", 3, 1000, "1.000 kJ"],
  ["joule", 3, 1e-3, "1.000 mJ"],
  ["joule", 3, 1e-6, "1.000 µJ"],
  ["s", 2, 1.25, "1.25 s"],
  ["s", 1, 10000.086123, "2.8 hours"],
  ["s", 0, 0.1, "100 ms"],
  ["s", 4, 2.4e-6, "2.4000 µs"],
  ["percentunit", 0, 0, "0%"],
  ["percentunit", 1, 0.278, "27.8%"],
  ["percentunit", 0, 1, "100%"],
  ["dtdurations", 0, 1, "1 second"],
  ["dtdurations", 2, 1.5 * 86400, "1 day, 12 hours, 0 minutes"],
  ["dtdurations", 3, 1.5 * 2592000, "1 month, 2 weeks, 1 day, 0 hours"],
  ["dtdurations", 0, 38898367.008, "1 year"],
  ["dtdurations", 1, 38898367.008, "1 year, 2 months"],
  ["dtdurations", 20, 38898367.008, "1 year, 2 months, 3 weeks, 4 days, 5 hours, 6 minutes, 7 seconds, 8 milliseconds"],
  ["dtdurations", 8, 36993906.007, "1 year, 2 months, 0 weeks, 3 days, 4 hours, 5 minutes, 6 seconds, 7 milliseconds"],
];

// From the definitions: three significant digits without decimals (getDecimalsForValue), the suffixes of categories.ts, plural above 1.
const fromDefinitions: Row[] = [
  ["none", undefined, 0, "0"],
  ["none", undefined, -0, "0"],
  ["none", undefined, 1.5, "1.50"],
  ["none", undefined, 12.345, "12.3"],
  ["none", undefined, 0.012345, "0.0123"],
  ["none", undefined, -0.012345, "-0.0123"],
  ["none", undefined, 1234567, "1234567"],
  ["none", undefined, 1e21, "1e+21"],
  ["none", undefined, 1.2345e-9, "1.23e-9"],
  ["none", undefined, 1.2345e-310, "1.23e-310"],
  ["none", 2, 0, "0.00"],
  ["none", 0, -0.4, "0"],
  ["short", undefined, 999, "999"],
  ["short", undefined, 1000, "1 K"],
  ["short", undefined, 1500, "1.50 K"],
  ["short", undefined, -2500000, "-2.50 Mil"],
  ["short", undefined, 3e9, "3 Bil"],
  ["short", undefined, 1e30, "1000000 Sept"],
  ["percent", undefined, 99.95, "100.0%"],
  ["percent", 0, 36.4, "36%"],
  ["percentunit", undefined, 0.0123, "1.23%"],
  ["percentunit", 0, -0.5, "-50%"],
  ["bytes", undefined, 0, "0 B"],
  ["bytes", undefined, 0.5, "0.500 B"],
  ["bytes", undefined, 1023, "1023 B"],
  ["bytes", undefined, 1024, "1 KiB"],
  ["bytes", undefined, 80 * 1024 ** 3, "80 GiB"],
  ["bytes", undefined, -1536, "-1.50 KiB"],
  ["bytes", undefined, 1024 ** 5, "1 PiB"],
  ["binBps", undefined, 1536, "1.50 KiB/s"],
  ["Bps", undefined, 1500, "1.50 kB/s"],
  ["Bps", 1, 1.25e9, "1.3 GB/s"],
  ["pps", undefined, 12000, "12 kp/s"],
  ["watt", undefined, 1000, "1 kW"],
  ["watt", undefined, 431.7, "432 W"],
  ["watt", undefined, 0.0021, "2.10 mW"],
  ["kwatth", 1, 12.34, "12.3 kWh"],
  ["kwatth", 1, 0.25, "250.0 Wh"],
  ["kwatth", 1, 4200, "4.2 MWh"],
  ["joule", undefined, 0, "0 J"],
  ["celsius", undefined, 61, "61 °C"],
  ["celsius", 0, -3.6, "-4 °C"],
  ["cps", undefined, 0.25, "0.250 c/s"],
  ["reqps", 1, 12, "12.0 req/s"],
  ["reqps", undefined, 1200, "1.20K req/s"],
  ["iops", undefined, 2.5e6, "2.50M io/s"],
  ["count:tok/s", 1, 12345, "12.3K tok/s"],
  ["count:tok/s", undefined, 3e9, "3B tok/s"],
  ["count:tok/s", undefined, 0, "0 tok/s"],
  ["si:FLOPS", undefined, 1.5e15, "1.50 PFLOPS"],
  ["si:GB/s", undefined, 0.5, "500 MB/s"],
  ["si:GB/s", undefined, 900, "900 GB/s"],
  ["si:GB/s", undefined, 1200, "1.20 TB/s"],
  ["s", undefined, 0, "0 s"],
  ["s", undefined, 5e-10, "0.500 ns"],
  ["s", undefined, 0.0475, "47.5 ms"],
  ["s", undefined, -0.0475, "-47.5 ms"],
  ["s", undefined, 60, "1 min"],
  ["s", undefined, 90, "1.50 mins"],
  ["s", undefined, 3600, "1 hour"],
  ["s", undefined, -7200, "-2 hours"],
  ["s", undefined, 86400 * 1.5, "1.50 days"],
  ["s", undefined, 604800 * 2, "2 weeks"],
  ["s", 1, 63113800, "2.0 years"],
  ["bool", undefined, 1, "True"],
  ["bool", undefined, 0, "False"],
  ["dtdurations", undefined, 90, "1 minute"],
  ["dtdurations", 1, 93600, "1 day, 2 hours"],
  ["dtdurations", 0, 0, "0 seconds"],
  ["dtdurations", 0, -7200, "2 hours ago"],
  ["furlong", undefined, 3, "3 furlong"],
];

describe("format", () => {
  test.each(fromGrafana)("unit %s, decimals %s: %d is %s, as in Grafana's tests", (unit, decimals, value, want) => {
    expect(format(value, unit, decimals)).toBe(want);
  });
  test.each(fromDefinitions)("unit %s, decimals %s: %d is %s", (unit, decimals, value, want) => {
    expect(format(value, unit, decimals)).toBe(want);
  });
  test.each(known.units)("%s writes what is not finite, and scales without a gap", (unit) => {
    expect(format(NaN, unit)).toBe("NaN");
    expect(format(Infinity, unit)).toBe("∞");
    expect(format(-Infinity, unit)).toBe("-∞");
    for (let e = -30; e <= 30; e++) {
      for (const v of [10 ** e, -(10 ** e), 9.9999 * 10 ** e, 2 ** e]) {
        expect(format(v, unit), `${v}`).not.toMatch(/undefined|NaN|\*/);
        if (unit !== "dateTimeFromNow") expect(format(v, unit, 0), `${v}`).not.toMatch(/undefined|NaN|\*/);
      }
    }
  });
  test("every unit of known.json has its own writing", () => {
    for (const unit of known.units) expect(parts(1, unit).suffix, unit).not.toContain(unit === "s" || unit === "none" ? "?" : ` ${unit}`);
  });
  test("a power of the factor is 1 of the next prefix", () => {
    for (let i = 1; i <= 8; i++) {
      expect(parts(1000 ** i, "watt").text).toBe("1");
      expect(parts(1024 ** i, "bytes").text).toBe("1");
    }
  });
});

// The thresholds of moment's fromNow, which Grafana calls: 45 s, 90 s, 45 min, 90 min, 22 h, 36 h, 26 days, 45 days, 11 months.
describe("dateTimeFromNow", () => {
  const now = 1_700_000_000_000;
  beforeEach(() => void vi.useFakeTimers({ now }));
  afterEach(() => void vi.useRealTimers());
  test.each([
    [0, "a few seconds ago"],
    [44, "a few seconds ago"],
    [45, "a minute ago"],
    [89, "a minute ago"],
    [120, "2 minutes ago"],
    [44 * 60, "44 minutes ago"],
    [45 * 60, "an hour ago"],
    [2 * 3600, "2 hours ago"],
    [21 * 3600, "21 hours ago"],
    [22 * 3600, "a day ago"],
    [7 * 86400, "7 days ago"],
    [26 * 86400, "a month ago"],
    [60 * 86400, "2 months ago"],
    [340 * 86400, "a year ago"],
    [800 * 86400, "2 years ago"],
    [-120, "in 2 minutes"],
  ])("%d s before now is %s", (seconds, want) => expect(format(now - seconds * 1000, "dateTimeFromNow")).toBe(want));
});

describe("formatAxis", () => {
  test.each<[number[], string | undefined, string[]]>([
    [[0, 0.5, 1, 1.5], "s", ["0 s", "500 ms", "1.0 s", "1.5 s"]],
    [[0, 0.25, 0.5, 0.75], "percentunit", ["0%", "25%", "50%", "75%"]],
    [[0.001, 0.002, 0.003], "none", ["0.001", "0.002", "0.003"]],
    [[0, 500, 1000, 1500, 2000], "watt", ["0 W", "500 W", "1.0 kW", "1.5 kW", "2.0 kW"]],
    [[59.9, 60, 60.1], "celsius", ["59.9 °C", "60.0 °C", "60.1 °C"]],
    [[-1, 0, 1], "none", ["-1", "0", "1"]],
    [[1024 ** 3, 2 * 1024 ** 3], "bytes", ["1 GiB", "2 GiB"]],
    [[0, 1], "bool", ["False", "True"]],
    [[1234.5], undefined, ["1235"]],
    [[], "s", []],
    [[NaN, 1, Infinity], "s", ["NaN", "1 s", "∞"]],
    [[0.1, 0.2, 0.30000000000000004], "none", ["0.1", "0.2", "0.3"]],
  ])("%j in %s", (values, unit, want) => expect(formatAxis(values, unit)).toEqual(want));
  test("decimals that are asked for hold for all", () => expect(formatAxis([0, 1, 2], "none", 2)).toEqual(["0.00", "1.00", "2.00"]));
});
