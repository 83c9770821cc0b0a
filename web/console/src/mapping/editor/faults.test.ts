import { expect, test } from "vitest";
import { faultsOf } from "./faults";

test("pointers are the document's, and lines come from the field or from the text", () => {
  const errors = [
    { pointer: "/mapping/extends", detail: "found x", line: 3 },
    { pointer: "/mapping", detail: "found y (line 7)" },
    { pointer: "/mapping", detail: "found no valid YAML: line 4: did not find expected key" },
    { pointer: "/runtime", detail: "found no runtime" },
    { pointer: "/mappingx", detail: "something else" },
  ];
  expect(faultsOf({ title: "Unprocessable Entity", errors })).toEqual({
    faults: [
      { pointer: "/extends", detail: "found x", line: 3 },
      { pointer: "", detail: "found y", line: 7 },
      { pointer: "", detail: "found no valid YAML: line 4: did not find expected key", line: 4 },
    ],
    other: "found no runtime; something else",
  });
  expect(faultsOf({ title: "Unprocessable Entity", detail: "why" })).toEqual({ faults: [], other: "why" });
});
