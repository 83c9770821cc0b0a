import { expect, test } from "vitest";
import { answer, firstBroken, isFirst, pathState, sortPaths, stateOf, summaryOf } from "./answer";

const hop = (name: string, state: string, findings: string[] = []) => ({ hop: name, state, seen: "", findings });
const path = (id: number, ...hops: object[]) => ({ model_instance_id: id, model_instance_name: `i${id}`, worker_id: 1, worker_name: "w", hops });
const of = (findings: object[], paths: object[], ok = findings.length === 0) =>
  answer({ subject: { kind: "fleet" }, checked_at: "2026-01-02T03:04:05Z", seconds: 1, ok, summary: "s", findings, paths }, "$");

const refused = { id: "engine_refused", severity: "error", subject: { kind: "instance", id: 2, name: "i2" }, what: "w", seen: "s", do: "d" };
const other = { ...refused, subject: { kind: "instance", id: 3, name: "i3" } };
const whole = of([refused, other], [path(1, hop("worker", "ok")), path(2, hop("worker", "ok"), hop("endpoint", "broken", ["engine_refused"]), hop("page", "broken")), path(3, hop("worker", "unknown"))]);

test("a path stops at its first broken hop", () => {
  expect(whole.paths.map(firstBroken)).toEqual([-1, 1, -1]);
  expect(pathState(whole.paths[1]!)).toMatchObject({ state: "broken", at: { hop: "endpoint" } });
  expect(pathState(whole.paths[2]!)).toMatchObject({ state: "unknown" });
});

test("broken paths come first", () => expect(sortPaths(whole).map((p) => p.model_instance_id)).toEqual([2, 3, 1]));

test("broken paths come in the order of the findings", () => {
  const broken = (id: number) => path(id, hop("endpoint", "broken", ["engine_refused"]));
  expect(sortPaths(of([other, refused], [broken(1), broken(2), broken(3)])).map((p) => p.model_instance_id)).toEqual([3, 2, 1]);
});

test.each([
  ["It stops: nothing listens. Start it. (5 more findings)", "Start it.", { what: "It stops: nothing listens. (5 more findings)", todo: "Start it." }],
  ["No fault was found.", "Start it.", { what: "No fault was found.", todo: "" }],
  ["No fault was found.", "", { what: "No fault was found.", todo: "" }],
])("%s", (summary, todo, want) => expect(summaryOf({ ...whole, summary, findings: [{ ...whole.findings[0]!, do: todo }] })).toEqual(want));

test("the finding of the first broken hop is that of its own instance", () => expect(whole.findings.map((f) => isFirst(f, whole))).toEqual([true, false]));

test.each([
  [of([], []), "ok"],
  [of([{ ...refused, severity: "info" }], [], true), "ok"],
  [of([{ ...refused, severity: "warning" }], []), "warning"],
  [whole, "broken"],
])("%# is %s", (a, want) => expect(stateOf(a)).toBe(want));

test("an answer of a newer server, with hops and states that are not known, can be read", () => {
  const a = of([], [path(1, hop("gateway", "slow"))]);
  expect(pathState(a.paths[0]!)).toEqual({ state: "ok" });
});
