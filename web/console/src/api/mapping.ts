// What /v2/metrics/config and its generations answer: the shapes of internal/wire.
import { list, number, optional, orEmpty, orFalse, orZero, shape, text, type Of } from "./check";

const vanishing = shape({
  metrics: list(shape({ metric: text, runtimes: list(text) })),
  series: orZero,
  unknown: list(text),
});
export type Vanishing = Of<typeof vanishing>;

/** The answer to a change. */
export const status = shape({ generation: number, workers: orZero, unchanged: orFalse, vanishing: optional(vanishing) });
export type Status = Of<typeof status>;

const page = shape({ coverage: optional(shape({ families: orZero, of: orZero })), series: orZero, parse_errors: orZero });
export type DryRunPage = Of<typeof page>;
const textChange = shape({ before: orEmpty, after: orEmpty });
const family = shape({ name: text, added: orZero, removed: orZero, changed: orZero, type: optional(textChange), help: optional(textChange) });
/** A series that appears has no value before, one that vanishes none after. */
const series = shape({ series: text, before: optional(text), after: optional(text) });
export type SeriesDryRun = Of<typeof series>;
const instance = shape({
  name: text,
  runtime: orEmpty,
  runtime_version: orEmpty,
  error: orEmpty,
  before: optional(page),
  after: optional(page),
  added: orZero,
  removed: orZero,
  changed: orZero,
  families: list(family),
  families_left_out: orZero,
  series: list(series),
  series_left_out: orZero,
});
export type InstanceDryRun = Of<typeof instance>;
const worker = shape({ worker_id: number, worker_name: orEmpty, state: text, detail: orEmpty, instances: list(instance) });
export type WorkerDryRun = Of<typeof worker>;

export const dryRun = shape({ generation: number, unchanged: orFalse, added: orZero, removed: orZero, changed: orZero, workers: list(worker), vanishing: optional(vanishing) });
export type DryRun = Of<typeof dryRun>;

export const generation = shape({
  generation: number,
  active: orFalse,
  default: orFalse,
  extends: orEmpty,
  at: optional(text),
  author: orEmpty,
  comment: orEmpty,
  restored_from: optional(number),
  metrics: orZero,
  problem: orEmpty,
});
export type Generation = Of<typeof generation>;
export const generations = shape({
  items: list(generation),
  pagination: optional(shape({ page: orZero, perPage: orZero, total: orZero, totalPage: orZero })),
});
export type Generations = Of<typeof generations>;

const difference = shape({ pointer: text, kind: text, before: orEmpty, after: orEmpty });
export type Difference = Of<typeof difference>;
export const diff = shape({ from: number, to: number, differences: list(difference) });
export type Diff = Of<typeof diff>;

const fault = shape({ pointer: orEmpty, detail: text, line: optional(number) });
export type Fault = Of<typeof fault>;
export const problem = shape({ title: orEmpty, detail: orEmpty, errors: list(fault) });
