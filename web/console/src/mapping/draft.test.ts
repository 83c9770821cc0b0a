import { expect, test } from "vitest";
import { dropDraft, keepDraft, loadDraft, mostDraft } from "./draft";

function store(room = Infinity) {
  const all = new Map<string, string>();
  return {
    getItem: (k: string) => all.get(k) ?? null,
    removeItem: (k: string) => void all.delete(k),
    setItem(k: string, v: string) {
      if (v.length > room) throw new DOMException("full", "QuotaExceededError");
      all.set(k, v);
    },
  };
}

test("a draft is kept and dropped", () => {
  const s = store();
  expect(loadDraft(s)).toBeUndefined();
  expect(keepDraft({ text: "a: b\n", base: 7 }, s)).toBe(true);
  expect(loadDraft(s)).toEqual({ text: "a: b\n", base: 7 });
  dropDraft(s);
  expect(loadDraft(s)).toBeUndefined();
});

test("a text that cannot be kept leaves no older one", () => {
  for (const s of [store(100), store()]) {
    keepDraft({ text: "old", base: 1 }, s);
    expect(keepDraft({ text: "x".repeat(mostDraft + 1), base: 1 }, s)).toBe(false);
    expect(loadDraft(s)).toBeUndefined();
  }
});

test.each(["", "{}", "null", "[]", '{"text":1,"base":1}', '{"text":"a","base":"1"}', "{"])("%j is no draft", (value) => {
  const s = store();
  s.setItem("stackscope-mapping-draft", value);
  expect(loadDraft(s)).toBeUndefined();
});
