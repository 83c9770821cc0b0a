import { expect, test } from "vitest";
import { rangeOf, setRange, setZoom } from "./timerange";

test("a range that is not known is the first", () => {
  for (const text of ["", "range=5y", "range=constructor", "from=a&to=b", "from=2000&to=1000"]) expect(rangeOf(new URLSearchParams(text))).toEqual({ name: "30m", seconds: 1800 });
  expect(rangeOf(new URLSearchParams("range=3h"))).toEqual({ name: "3h", seconds: 10_800 });
});

test("a zoom stays until another range is chosen", () => {
  const query = new URLSearchParams("range=3h&tab=x");
  setZoom(query, { from: 100, to: 700 });
  expect(rangeOf(query)).toEqual({ name: "", seconds: 600, fixed: { from: 100, to: 700 } });
  setRange(query, "30m");
  expect(query.toString()).toBe("tab=x");
});
