import { expect, test } from "vitest";
import { dryRun } from "../api/mapping";
import { changeOf, lossOf, rowsOf, sortDryRows, sortSeries } from "./dryrows";

const answer = dryRun(
  {
    status: "dry run", generation: 7, added: 3, removed: 449, changed: 0,
    workers: [
      {
        worker_id: 1, worker_name: "a", state: "answered", generation: 7,
        instances: [
          { name: "few", added: 3, removed: 0, changed: 0, before: { coverage: { families: 9, of: 30 }, series: 40 }, after: { coverage: { families: 9, of: 30 }, series: 43 } },
          { name: "broken", error: "connection refused", added: 0, removed: 0, changed: 0 },
          { name: "many", added: 0, removed: 449, changed: 0 },
        ],
      },
      { worker_id: 2, worker_name: "b", state: "not_connected", detail: "it has no watch stream", instances: [] },
    ],
    vanishing: { metrics: [{ metric: "gpustack:x", runtimes: ["vLLM"] }], series: 449 },
  },
  "$",
);

test.each([
  ["removed", ["many", "few", undefined, "broken"]],
  ["added", ["few", "many", undefined, "broken"]],
  ["instance", ["few", "many", undefined, "broken"]],
] as const)("rows by %s, with those that could not be tried at the end", (by, want) => {
  expect(sortDryRows(rowsOf(answer), by).map((r) => r.instance?.name)).toEqual(want);
});

test("what vanishes", () => {
  expect(lossOf(answer)).toEqual({ series: 449, metrics: 1 });
  expect(lossOf(dryRun({ generation: 1, removed: 2, workers: [] }, "$"))).toEqual({ series: 2, metrics: 0 }); // a server that doesn't know what vanishes
});

test("series that vanish come first", () => {
  const series = [{ series: "c", before: "1", after: "2" }, { series: "a", before: undefined, after: "1" }, { series: "r", before: "1", after: undefined }];
  expect(sortSeries(series).map((s) => `${s.series} ${changeOf(s)}`)).toEqual(["r removed", "a added", "c changed"]);
});
