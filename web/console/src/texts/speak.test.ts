import { beforeAll, expect, test } from "vitest";
import { format, formatAxis } from "../format";
import { duration } from "../fleet/since";
import { asFailure } from "../prometheus/failure";
import { speak, t } from ".";
import { texts } from "./zh";

const shell = t.shell; // as modules keep it

beforeAll(() => speak(texts));

test("groups of texts that were read before speak Chinese", () => {
  expect(shell.last("30m")).toBe("最近 30 分钟");
  expect(asFailure(new Error("x")).todo).toContain("/readyz");
  expect(asFailure(new Error("x")).todo).toBe(texts.shell.failures.unavailable);
});

test("the lists, which are loaded later, are Chinese", async () => {
  expect((await import("./lists")).l.instancesTitle).toBe("实例");
});

test.each([
  [7200, "s", "2 小时"],
  [90, "s", "1.50 分钟"],
  [0.25, "s", "250 ms"],
  [1, "bool", "是"],
  [3661, "dtdurations", "1 小时"],
  [-61, "dtdurations", "1 分钟前"],
])("%d of %s is %s", (value, unit, text) => expect(format(value, unit)).toBe(text));

test("times from now", () => {
  expect(format(Date.now() - 2000, "dateTimeFromNow")).toBe("几秒前");
  expect(format(Date.now() - 7_200_000, "dateTimeFromNow")).toBe("2 小时前");
  expect(format(Date.now() + 3_601_000, "dateTimeFromNow")).toBe("1 小时后");
  expect(duration(7500)).toBe("2 小时 5 分钟");
});

test("an axis has the units of its values", () => {
  expect(formatAxis([0, 3600, 7200], "s")).toEqual(["0 s", "1 小时", "2 小时"]);
});
