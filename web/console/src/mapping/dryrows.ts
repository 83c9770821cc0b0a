// Rows of a dry run's table, and what it says will vanish.
import type { DryRun, InstanceDryRun, SeriesDryRun, WorkerDryRun } from "../api/mapping";

/** An instance that was tried or could not be, or a worker that did not say anything. */
export interface DryRow {
  key: string;
  worker: WorkerDryRun;
  /** Absent of a worker that gave no answer. */
  instance?: InstanceDryRun;
}

export const dryColumns = ["instance", "worker", "removed", "added", "changed"] as const;
export type DryColumn = (typeof dryColumns)[number];

export function rowsOf(run: DryRun): DryRow[] {
  return run.workers.flatMap((worker): DryRow[] =>
    worker.state === "answered"
      ? worker.instances.map((instance) => ({ key: `${worker.worker_id} ${instance.name}`, worker, instance }))
      : [{ key: String(worker.worker_id), worker }],
  );
}

/** Whether something was tried there. */
export function wasRead(row: DryRow): boolean {
  return row.instance !== undefined && row.instance.error === "";
}

/** Sorted by a column: numbers with the highest first, names in their order. Those that could not be tried are last. */
export function sortDryRows(rows: readonly DryRow[], by: DryColumn): DryRow[] {
  const name = (r: DryRow) => r.instance?.name ?? "";
  const byName = (a: DryRow, b: DryRow) => name(a).localeCompare(name(b)) || a.worker.worker_name.localeCompare(b.worker.worker_name);
  return [...rows].sort((a, b) => {
    const read = Number(wasRead(b)) - Number(wasRead(a));
    if (read !== 0) return read;
    if (by === "instance") return byName(a, b);
    if (by === "worker") return a.worker.worker_name.localeCompare(b.worker.worker_name) || byName(a, b);
    return (b.instance?.[by] ?? 0) - (a.instance?.[by] ?? 0) || byName(a, b);
  });
}

/** What a change takes away: series of live instances, and unified metrics by the documents alone. */
export interface Loss {
  series: number;
  metrics: number;
}

export function lossOf(run: DryRun): Loss {
  return { series: Math.max(run.removed, run.vanishing?.series ?? 0), metrics: run.vanishing?.metrics.length ?? 0 };
}

/** Which way a series changes. */
export function changeOf(series: SeriesDryRun): "added" | "removed" | "changed" {
  if (series.before === undefined) return "added";
  return series.after === undefined ? "removed" : "changed";
}

/** Vanished series first, then new ones. */
export function sortSeries(series: readonly SeriesDryRun[]): SeriesDryRun[] {
  const order = { removed: 0, added: 1, changed: 2 };
  return [...series].sort((a, b) => order[changeOf(a)] - order[changeOf(b)]);
}
