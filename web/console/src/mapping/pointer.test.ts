import { expect, test } from "vitest";
import { placeOf, pretty } from "./pointer";

test("a pointer as its keys", () => expect(placeOf("/runtime_mapping/vLLM/>=0.1~1x/a~0b")).toBe("runtime_mapping › vLLM › >=0.1/x › a~b"));

test.each([
  ['"gauge"', "gauge"],
  ['{"type":"gauge"}', '{\n  "type": "gauge"\n}'],
  ["cut {", "cut {"],
])("%s", (json, want) => expect(pretty(json)).toBe(want));
