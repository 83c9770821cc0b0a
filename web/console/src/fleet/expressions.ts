// PromQL of lists and pages. The expressions follow dashboards/models.go, fleet_tables.go and gpus.go: metrics that instances of
// separate prefill and decode count twice are read from the role that counts, gauges that several servers or scrapes export by max.
import { rateInterval } from "../prometheus/step";
import { quoted } from "../prometheus/template";

/** Window of rates: 2 minutes, or four scrapes where those are longer. */
const window = rateInterval(105);

const waitingMetrics = '__name__=~"gpustack:num_requests_waiting|gpustack:pd_decode_prealloc_queue_requests"';
const engines = 'role!="router"';
const decode = 'role!~"prefill|router"';
const streamed = 'is_streaming!="false"';

/** A label matcher with its value quoted as PromQL has it. */
export function is(label: string, value: string): string {
  return `${label}="${quoted(value)}"`;
}

function select(metric: string, ...matchers: string[]): string {
  return `${metric}{${matchers.filter((m) => m !== "").join(", ")}}`;
}

const byModel = "cluster_name, model_name";
const byInstance = "cluster_name, worker_name, model_instance_name";
const byWorker = "cluster_name, worker_name";
const byGPU = "cluster_name, worker_name, gpu_index, gpu_chip_index";

/** Of every model at once; `of` narrows it. */
export const models = {
  running: (of = "") => `sum by (${byModel}) (${select("gpustack:num_requests_running", engines, of)})`,
  waiting: (of = "") => `sum by (${byModel}) ({${[waitingMetrics, engines, of].filter(Boolean).join(", ")}})`,
  tokens: (of = "") => `sum by (${byModel}) (rate(${select("gpustack:generation_tokens_total", decode, of)}[${window}]))`,
  // Each side of a request has a time to its first token; added up they would be no request's.
  ttft: (of = "") =>
    `max by (${byModel}) (histogram_quantile(0.95, sum by (${byModel}, role, le) (rate(${select("gpustack:time_to_first_token_seconds_bucket", engines, streamed, of)}[${window}]))))`,
};

/** Of every instance at once. Data-parallel ranks of an instance are added up; of its KV caches the fullest counts. */
export const instances = {
  running: (of = "") => `sum by (${byInstance}) (${select("gpustack:num_requests_running", of)})`,
  waiting: (of = "") => `sum by (${byInstance}) ({${[waitingMetrics, of].filter(Boolean).join(", ")}})`,
  cache: (of = "") => `max by (${byInstance}) (${select("gpustack:kv_cache_usage_ratio", of)})`,
};

export const workers = {
  busy: (of = "") => `avg by (${byWorker}) (max by (${byGPU}) (${select("gpustack:worker_node_gpu_utilization_rate", of)}))`,
  memory: (of = "") => `max by (${byWorker}) (${select("gpustack:worker_node_memory_utilization_rate", of)})`,
  gpus: (of = "") => `sum by (${byWorker}) (max by (${byWorker}, vendor) (${select("gpustack:gpu_present", of)}))`,
};

const gauge = (metric: string) => (of = "") => `max by (${byGPU}) (${select("gpustack:" + metric, of)})`;

export const gpus = {
  busy: gauge("worker_node_gpu_utilization_rate"),
  used: gauge("worker_node_gram_used_bytes"),
  total: gauge("worker_node_gram_total_bytes"),
  temperature: gauge("worker_node_gpu_temperature_celsius"),
  power: gauge("worker_node_gpu_power_used_watts"),
  up: gauge("gpu_up"),
  info: (of = "") => `max by (${byGPU}, gpu_name, vendor, uuid) (${select("gpustack:worker_node_gpu_info", of)})`,
  users: (of = "") => `max by (${byGPU}, model_name, model_instance_name) (${select("gpustack:model_instance_gpu_memory_used_bytes", of)})`,
};

/** Charts of one instance; `of` selects it. */
export const oneInstance = {
  running: (of: string) => `sum(${select("gpustack:num_requests_running", of)})`,
  waiting: (of: string) => `sum({${waitingMetrics}, ${of}})`,
  generated: (of: string, w: string) => `sum(rate(${select("gpustack:generation_tokens_total", of)}[${w}]))`,
  prompt: (of: string, w: string) => `sum(rate(${select("gpustack:prompt_tokens_total", of)}[${w}]))`,
  ttft: (q: number, of: string, w: string) => quantile(q, "time_to_first_token_seconds", `${of}, ${streamed}`, w),
  itl: (q: number, of: string, w: string) => quantile(q, "inter_token_latency_seconds", of, w),
  cache: (of: string) => `max(${select("gpustack:kv_cache_usage_ratio", of)})`,
  gpuMemory: (of: string) => `sum by (worker_name, gpu_index, gpu_chip_index) (${select("gpustack:model_instance_gpu_memory_used_bytes", of)})`,
  restarts: (of: string) => `max(${select("gpustack:model_instance_restart_count", of)})`,
};

function quantile(q: number, metric: string, of: string, w: string): string {
  return `histogram_quantile(${q}, sum by (le) (rate(${select(`gpustack:${metric}_bucket`, of)}[${w}])))`;
}

/** Charts of one model: what its instances do together. */
export const oneModel = {
  running: (of: string) => `sum(${select("gpustack:num_requests_running", of, engines)})`,
  waiting: (of: string) => `sum({${waitingMetrics}, ${of}, ${engines}})`,
  generated: (of: string, w: string) => `sum(rate(${select("gpustack:generation_tokens_total", of, decode)}[${w}]))`,
  prompt: (of: string, w: string) => `sum(rate(${select("gpustack:prompt_tokens_total", of, 'role!~"decode|router"')}[${w}]))`,
  ttft: (q: number, of: string, w: string) =>
    `max(histogram_quantile(${q}, sum by (role, le) (rate(${select("gpustack:time_to_first_token_seconds_bucket", of, engines, streamed)}[${w}]))))`,
  itl: (q: number, of: string, w: string) => quantile(q, "inter_token_latency_seconds", `${of}, ${decode}`, w),
  cache: (of: string) => `max by (model_instance_name) (${select("gpustack:kv_cache_usage_ratio", of)})`,
};

/** State of instances as a number, the worst where two servers disagree. Numbers: dashboards/models_instances.go. */
export const instanceStates: readonly [number, string, string][] = [
  [9, "error", "red"],
  [8, "unreachable", "dark-red"],
  [7, "pending", "orange"],
  [6, "analyzing", "yellow"],
  [5, "scheduled", "yellow"],
  [4, "initializing", "light-blue"],
  [3, "downloading", "purple"],
  [2, "starting", "blue"],
  [1, "running", "green"],
];

export function statesOverTime(of: string): string {
  return instanceStates.map(([n, state]) => `${n} * max by (model_instance_name) (${select("gpustack:model_instance_status", of, is("state", state))})`).join(" or ");
}
