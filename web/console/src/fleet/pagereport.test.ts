import { expect, test } from "vitest";
import { page } from "../api/types";
import { dashboard, reportsOf, safeLink, summary } from "./pagereport";

const read = page(
  {
    metrics: [
      { name: "vllm:num_requests_running", samples: 2, outcomes: [{ family: "gpustack:num_requests_running", samples: 2 }] },
      { name: "vllm:kv_offload", samples: 1, outcomes: [{ family: "gpustack:kv", samples: 0, why: "filtered" }] },
      { name: "python_gc", samples: 3, unreadable: 1, why: "no line names it" },
    ],
    metrics_left_out: 5,
  },
  "$",
);

test("counts what became of the metrics", () => {
  expect(summary(read)).toEqual({ metrics: 8, mapped: 1, unmapped: 2, unreadable: 1 });
});

test("searches native and unified names and reasons", () => {
  const names = (shown: "all" | "mapped" | "unmapped", search: string) => reportsOf(read, shown, search).map((m) => m.name);
  expect(names("all", "GPUSTACK: running")).toEqual(["vllm:num_requests_running"]);
  expect(names("all", "filtered")).toEqual(["vllm:kv_offload"]);
  expect(names("mapped", "")).toEqual(["vllm:num_requests_running"]);
  expect(names("unmapped", "")).toEqual(["vllm:kv_offload", "python_gc"]);
});

test.each([
  ["http://10.0.0.1:8000/metrics", true],
  ["https://e/", true],
  ["javascript:alert(1)", false],
  ["data:text/html,x", false],
  ["10.0.0.1:8000", false],
  ["", false],
])("%s is a link: %s", (url, link) => expect(safeLink(url) !== undefined).toBe(link));

test("a dashboard's variables are escaped, absent ones left out", () => {
  expect(dashboard("gpustack-model", { cluster_name: "a&b", model_name: "org/m", model_instance_name: undefined })).toBe(
    "/d/gpustack-model/gpustack-model?var-cluster_name=a%26b&var-model_name=org%2Fm",
  );
});
