import { describe, expect, test } from "vitest";
import { countStates, choices, filtersOf, inStates, matching, nextSort, pageOf, setFilter, sortRows, toggleState, type Row } from "./filters";
import { tone } from "./states";

interface R extends Row {
  load?: number;
}
const row = (key: string, state: string, more: Partial<R> = {}): R => ({ key, state, search: [key], ...more });
const filters = (text: string) => filtersOf(new URLSearchParams(text));

describe("the URL", () => {
  test("has every filter", () => {
    expect(filters("q=a+b&state=error&state=pending&cluster=c&worker=w&model=m&sort=-name&page=3")).toEqual({
      q: "a b", states: ["error", "pending"], cluster: "c", worker: "w", model: "m", sort: "name", descending: true, page: 3,
    });
  });
  test.each(["0", "-1", "1.5", "x"])("page %s is the first", (page) => expect(filters("page=" + page).page).toBe(1));
  test("a changed filter begins at the first page and keeps the others", () => {
    const query = new URLSearchParams("state=error&page=4&q=a");
    setFilter(query, "q", "");
    expect(query.toString()).toBe("state=error");
    toggleState(query, "pending");
    toggleState(query, "error");
    expect(query.toString()).toBe("state=pending");
  });
  test("clicks on a header go round", () => {
    expect(nextSort(filters(""), "name", false)).toBe("name");
    expect(nextSort(filters("sort=name"), "name", false)).toBe("-name");
    expect(nextSort(filters("sort=-name"), "name", false)).toBe("");
    expect(nextSort(filters("sort=name"), "load", true)).toBe("-load");
    expect(nextSort(filters("sort=-load"), "load", true)).toBe("load");
  });
});

test("every word must be in one of the texts", () => {
  const rows = [row("a", "running", { search: ["Qwen3-32B", "node-1"] }), row("b", "running", { search: ["qwen2", "node-2"] })];
  expect(matching(rows, filters("q=qwen+node-1")).map((r) => r.key)).toEqual(["a"]);
  expect(matching(rows, filters("q=QWEN")).length).toBe(2);
  expect(matching([row("a", "x", { worker: "w1" }), row("b", "x")], filters("worker=w1")).map((r) => r.key)).toEqual(["a"]);
});

test("states are counted, the worst first, a chosen one without rows too", () => {
  const rows = [row("a", "running"), row("b", "error"), row("c", "running")];
  expect(countStates(rows, ["pending"])).toEqual([["error", 1], ["pending", 0], ["running", 2]]);
  expect(inStates(rows, ["error"]).map((r) => r.key)).toEqual(["b"]);
  expect(inStates(rows, []).length).toBe(3);
});

test("problems come first, then names in natural order", () => {
  const rows = [row("n10", "running"), row("n2", "running"), row("z", "error"), row("m", "starting"), row("x", "strange")];
  expect(sortRows(rows, undefined, false).map((r) => r.key)).toEqual(["z", "x", "m", "n2", "n10"]);
});

test("what has no value comes last either way", () => {
  const rows = () => [row("a", "running"), row("b", "running", { load: 1 }), row("c", "running", { load: 10 })];
  expect(sortRows(rows(), (r) => r.load, false).map((r) => r.key)).toEqual(["b", "c", "a"]);
  expect(sortRows(rows(), (r) => r.load, true).map((r) => r.key)).toEqual(["c", "b", "a"]);
});

test("a page behind the last is the last", () => {
  const rows = Array.from({ length: 250 }, (_, i) => i);
  expect(pageOf(rows, 3)).toEqual({ rows: rows.slice(200), page: 3, pages: 3 });
  expect(pageOf(rows, 9).page).toBe(3);
  expect(pageOf([], 1)).toEqual({ rows: [], page: 1, pages: 1 });
});

test("choices are distinct and sorted", () => {
  expect(choices([row("a", "x", { cluster: "c10" }), row("b", "x", { cluster: "c2" }), row("c", "x", { cluster: "c10" }), row("d", "x")], "cluster")).toEqual(["c2", "c10"]);
});

test("states that are names of objects' own properties are unknown states", () => {
  for (const state of ["constructor", "__proto__", "toString"]) expect(tone(state)).toBe("dim");
});
