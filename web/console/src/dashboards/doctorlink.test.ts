import { expect, test } from "vitest";
import { doctorLink } from "./doctorlink";
import { all, type Chosen } from "./variables";

const chosen = (name: string, ...values: string[]): Chosen => ({ variable: { name, label: name }, values, missing: [] });
const ttft = 'histogram_quantile(0.95, sum by (le) (rate(gpustack:time_to_first_token_seconds_bucket{model_name=~"$model_name", model_instance_name=~"$model_instance_name"}[$__rate_interval])))';
const busy = 'avg(gpustack:worker_node_gpu_utilization_rate{worker_name=~"$worker_name"})';

test.each([
  ["the model that is chosen", [ttft], [chosen("model_name", "a/b"), chosen("model_instance_name", all)], "/doctor?metric=gpustack%3Atime_to_first_token_seconds_count&model=a%2Fb"],
  ["the instance before its model", [ttft], [chosen("model_name", "m"), chosen("model_instance_name", "i 1")], "/doctor?metric=gpustack%3Atime_to_first_token_seconds_count&instance=i+1"],
  ["none of several", [busy], [chosen("worker_name", "a", "b")], "/doctor?metric=gpustack%3Aworker_node_gpu_utilization_rate"],
  ["what the panel does not depend on", [busy], [chosen("worker_name", "w"), chosen("model_name", "m")], "/doctor?metric=gpustack%3Aworker_node_gpu_utilization_rate&worker=w"],
  ["a metric of another exporter", ['up{worker_name="$worker_name"}'], [chosen("worker_name", "w")], "/doctor?worker=w"],
  ["a pattern of metrics", ['{__name__=~"gpustack:gpu_.*"}'], [], "/doctor"],
  ["nothing", [], [], "/doctor"],
])("%s", (_, exprs, variables, want) => expect(doctorLink(exprs, variables)).toBe(want));
