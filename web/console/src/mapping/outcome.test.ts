import { expect, test } from "vitest";
import { ChangeError } from "../api/change";
import { RequestError } from "../api/request";
import { bytesOf, isOverlay, outcomeOf } from "./outcome";

const refused = (status: number, active?: number) => new ChangeError(new RequestError(status, "title", "detail", 2), [{ pointer: "/x", detail: "wrong", line: 3 }], active);

test.each([
  [refused(412, 8), true, { kind: "conflict", detail: "detail", active: 8 }],
  [refused(412), false, { kind: "conflict", detail: "detail" }],
  [refused(401), true, { kind: "token" }],
  [refused(422), false, { kind: "faults", faults: [{ pointer: "/x", detail: "wrong", line: 3 }] }],
  [refused(503), true, { kind: "failed", retryAfter: 2 }],
  [new RequestError(0, "no answer", ""), true, { kind: "unsure" }],
  [new RequestError(0, "no answer", ""), false, { kind: "failed" }],
  [refused(502), true, { kind: "unsure" }],
  [new SyntaxError("cut"), true, { kind: "unsure" }],
])("%o, %o", (error, making, want) => expect(outcomeOf(error, making)).toMatchObject(want));

test("texts are counted as the server counts them", () => expect(bytesOf("映射")).toBe(6));

test.each([
  ["# adds\nextends: default\n", true],
  ['{"extends": "default"}', true],
  ["gpustack_metrics: {}\n", false],
  ["gpustack_metrics:\n  gpustack:x:\n    description: it extends the default\n", false],
])("%j", (document, want) => expect(isOverlay(document)).toBe(want));
