import { expect, test } from "vitest";
import { wrap } from "./legend";

test("entries go into as few lines as hold them", () => {
  expect(wrap([50, 30, 60, 200, 10], 100)).toEqual([[0, 1], [2], [3], [4]]);
  expect(wrap([], 100)).toEqual([]);
});
