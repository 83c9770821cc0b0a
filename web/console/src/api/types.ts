// What /v2 answers: the shapes of internal/wire.
import { list, number, optional, orEmpty, orFalse, orZero, shape, text, texts, type Of } from "./check";
import type { Check } from "./request";

export const cluster = shape({ id: number, name: text, provider: orEmpty, state: orEmpty });
export type Cluster = Of<typeof cluster>;

export const worker = shape({
  id: number,
  cluster_id: number,
  name: text,
  address: orEmpty,
  metrics_port: orZero,
  state: text,
  state_message: orEmpty,
  since: optional(text),
  labels: texts,
  version: orEmpty,
  applied_generation: orZero,
  registered_at: optional(text),
  last_report_at: optional(text),
});
export type Worker = Of<typeof worker>;

const role = shape({ role: text, desired_instances: orZero, ready_instances: orZero });
export type Role = Of<typeof role>;

export const model = shape({
  id: number,
  cluster_id: number,
  name: text,
  runtime: orEmpty,
  runtime_version: orEmpty,
  source: orEmpty,
  source_key: orEmpty,
  category: orEmpty,
  desired_instances: orZero,
  roles: list(role),
});
export type Model = Of<typeof model>;

export const instance = shape({
  id: number,
  model_id: optional(number),
  worker_id: number,
  name: text,
  state: text,
  state_message: orEmpty,
  since: optional(text),
  url: orEmpty,
  runtime: orEmpty,
  runtime_version: orEmpty,
  role: orEmpty,
  group: orEmpty,
  restart_count: orZero,
  last_restart_at: optional(text),
});
export type Instance = Of<typeof instance>;

const user = shape({ model_instance_id: number, model_instance_name: text });
const memory = shape({ total: optional(number) });

export const gpu = shape({
  id: text,
  worker_id: number,
  worker_name: orEmpty,
  vendor: orEmpty,
  index: number,
  chip_index: orZero,
  name: orEmpty,
  uuid: orEmpty,
  pci_address: orEmpty,
  driver_version: orEmpty,
  state: orEmpty,
  state_message: orEmpty,
  recommended_action: orEmpty,
  action_reason: orEmpty,
  memory: optional(memory),
  users: optional(list(user)), // absent: the driver does not list processes
});
export type GPU = Of<typeof gpu>;

const outcome = shape({ family: text, samples: orZero, why: orEmpty });
export const nativeReport = shape({ name: text, type: orEmpty, samples: orZero, unreadable: orZero, outcomes: list(outcome), why: orEmpty });
export type NativeReport = Of<typeof nativeReport>;

export const page = shape({
  url: orEmpty,
  runtime: orEmpty,
  runtime_version: orEmpty,
  fetched_at: optional(text),
  content_type: orEmpty,
  bytes: orZero,
  truncated: orFalse,
  native: orEmpty,
  unified: orEmpty,
  unified_truncated: orFalse,
  metrics: list(nativeReport),
  metrics_left_out: orZero,
  coverage: optional(shape({ families: number, of: number })),
  error: orEmpty,
});
export type Page = Of<typeof page>;

export const dashboardEntry = shape({ uid: text, title: text, description: orEmpty, slug: orEmpty });
export type DashboardEntry = Of<typeof dashboardEntry>;

export function items<T>(check: Check<T>): Check<T[]> {
  const body = shape({ items: list(check) });
  return (value, at) => body(value, at).items as T[];
}

export type { Settings } from "./settings";
