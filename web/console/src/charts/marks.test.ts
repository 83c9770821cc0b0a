import { expect, test } from "vitest";
import { groupAt, groups } from "./marks";

const mark = (time: number) => ({ time, name: "Restart", text: "", color: "red" });

test("events close to each other are one line, those outside are left out", () => {
  const list = groups([mark(50), mark(10), mark(12), mark(14), mark(-1), mark(200)], { from: 0, to: 100 }, 3);
  expect(list.map((g) => [g.time, g.marks.length])).toEqual([[10, 2], [14, 1], [50, 1]]);
});

test("the closest line is found within a distance", () => {
  const list = groups([mark(10), mark(20)], { from: 0, to: 100 }, 1);
  expect(groupAt(list, 14, 5)?.time).toBe(10);
  expect(groupAt(list, 16, 5)?.time).toBe(20);
  expect(groupAt(list, 40, 5)).toBeUndefined();
});
