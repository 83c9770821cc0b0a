import { expect, test } from "vitest";
import { instances, is, models, oneInstance } from "./expressions";
import { byLabels, joined, rangeAt } from "./metrics";

test("rows find their series whatever their names hold", () => {
  const found = byLabels([{ labels: { a: 'x","y', b: "z" }, times: [], values: [] }], "a", "b");
  expect(found.has(joined('x","y', "z"))).toBe(true);
  expect(found.has(joined("x", 'y","z'))).toBe(false);
});

test("a range ends at a whole step", () => {
  expect(rangeAt(10_019, 1800, 30)).toEqual({ range: { from: 8160, to: 9960 }, step: 60 });
  expect(rangeAt(0, 1800, 100, { from: 100, to: 4000 })).toEqual({ range: { from: 60, to: 3960 }, step: 60 });
});

test("names are quoted", () => {
  expect(is("model_name", 'a"b\\c\nd')).toBe('model_name="a\\"b\\\\c\\nd"');
});

test("a model's metrics are read from the role that counts", () => {
  expect(models.tokens()).toContain('role!~"prefill|router"');
  expect(models.running()).toContain('role!="router"');
  expect(models.ttft()).toContain("role, le");
});

test("an instance's own metrics need no role", () => {
  expect(instances.running('worker_name="w"')).toBe('sum by (cluster_name, worker_name, model_instance_name) (gpustack:num_requests_running{worker_name="w"})');
  expect(oneInstance.ttft(0.95, 'worker_name="w"', "60s")).toBe(
    'histogram_quantile(0.95, sum by (le) (rate(gpustack:time_to_first_token_seconds_bucket{worker_name="w", is_streaming!="false"}[60s])))',
  );
});
