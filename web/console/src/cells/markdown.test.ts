import { describe, expect, test } from "vitest";
import { blocks, inline, plain } from "./markdown";

describe("inline", () => {
  test.each([
    ["a **b** c", ["a ", { kind: "strong", inside: ["b"] }, " c"]],
    ["*a* _b_ __c__", [{ kind: "em", inside: ["a"] }, " ", { kind: "em", inside: ["b"] }, " ", { kind: "strong", inside: ["c"] }]],
    ["**a *b* c**", [{ kind: "strong", inside: ["a ", { kind: "em", inside: ["b"] }, " c"] }]],
    ["`**a**`", [{ kind: "code", text: "**a**" }]],
    ["[the *docs*](/d/x?a=1)", [{ kind: "link", url: "/d/x?a=1", inside: ["the ", { kind: "em", inside: ["docs"] }] }]],
    ["worker_node_gpu", ["worker_node_gpu"]],
    ["2 * 3 * 4", ["2 * 3 * 4"]],
    ["\\*a\\*", ["*a*"]],
    ["<b>a</b>", ["<b>a</b>"]],
    ["a ** b", ["a ** b"]],
    ["", []],
  ])("%j", (text, want) => expect(inline(text)).toEqual(want));
});

describe("blocks", () => {
  test("are paragraphs, headings and lists", () => {
    const tree = blocks("# Head\nfirst\nline\n\n- a\n- b\n  more\n1. x\n2. y\n\nlast");
    expect(tree).toEqual([
      { kind: "h", inside: ["Head"] },
      { kind: "p", inside: ["first line"] },
      { kind: "ul", items: [["a"], ["b more"]] },
      { kind: "ol", items: [["x"], ["y"]] },
      { kind: "p", inside: ["last"] },
    ]);
  });
  test("end with nothing left over", () => expect(blocks("\n\n")).toEqual([]));
  test("take long unclosed marks in linear time", () => expect(plain(inline("**a".repeat(2000)))).toContain("a"));
});
