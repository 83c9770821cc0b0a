import { expect, test } from "vitest";
import { newest, sparkPath } from "./sparkline";

test("fills the box from 0 to the highest value", () => {
  expect(sparkPath({ times: [0, 60, 120], values: [0, 5, 10] }, 0, 120, 60, 100, 20)).toBe("M0 19L50 10L100 1");
});

test("breaks at gaps and at values that are none", () => {
  expect(sparkPath({ times: [0, 60, 300, 360], values: [1, 1, 1, 1] }, 0, 360, 60, 36, 12).match(/M/g)).toHaveLength(2);
  expect(sparkPath({ times: [0, 60, 120], values: [1, NaN, 1] }, 0, 120, 60, 36, 12)).toBe("M0 1h1.5M36 1h-1.5");
});

test("is flat at the bottom when all is 0, and empty without values", () => {
  expect(sparkPath({ times: [0, 60], values: [0, 0] }, 0, 60, 60, 10, 10)).toBe("M0 9L10 9");
  expect(sparkPath({ times: [], values: [] }, 0, 60, 60, 10, 10)).toBe("");
  expect(sparkPath({ times: [0], values: [NaN] }, 0, 60, 60, 10, 10)).toBe("");
});

test("a share keeps its scale", () => {
  expect(sparkPath({ times: [0, 60], values: [0.5, 0.5] }, 0, 60, 60, 10, 12, 1)).toBe("M0 6L10 6");
});

test("the newest value is not an old one", () => {
  expect(newest({ times: [0, 60], values: [1, 2] }, 120, 60)).toBe(2);
  expect(newest({ times: [0, 60], values: [1, 2] }, 600, 60)).toBeUndefined();
  expect(newest(undefined, 0, 60)).toBeUndefined();
});
