// The page of one worker.
import { useMemo } from "preact/hooks";
import type { Place } from "../router";
import { t } from "../texts";
import { l } from "../texts/lists";
import { Charts, thin, type Chart } from "./charts";
import { Callout, Detail, Facts, Links } from "./detail";
import { gpus, instances as instanceExpressions, is } from "./expressions";
import { gpuColumns } from "./gpucolumns";
import { instanceColumns } from "./instancecolumns";
import { useGPUs, useInventory } from "./inventory";
import { Table } from "./list";
import { useMetrics } from "./metrics";
import { dashboard } from "./pagereport";
import { doctorOf, useHasMetrics } from "./parts";
import { gpuRows, instanceRows, workerRows, type Inventory, type WorkerRow } from "./rows";
import { sortRows } from "./filters";
import { Time } from "./time";

export function WorkerPage({ id, place }: { id: number; place: Place }) {
  const { inventory, lists } = useInventory(true);
  const row = useMemo(() => inventory && workerRows(inventory).find((r) => r.item.id === id), [inventory, id]);
  return (
    <Detail
      list={{ href: "/workers", title: l.workers }}
      name={row?.item.name}
      state={row?.state ?? ""}
      since={row?.item.since}
      gone={l.gone(l.aWorker, id)}
      lists={lists}
      loaded={inventory !== undefined}
    >
      {row && inventory && <Known row={row} inventory={inventory} place={place} />}
    </Detail>
  );
}

function Known({ row, inventory, place }: { row: WorkerRow; inventory: Inventory; place: Place }) {
  const worker = row.item;
  const selector = [is("cluster_name", row.clusterName), is("worker_name", worker.name)].join(", ");
  const charts = useMemo(() => chartsOf(selector), [selector]);
  const labels = Object.entries(worker.labels);
  const address = worker.metrics_port > 0 ? `${worker.address}:${worker.metrics_port}` : worker.address;
  return (
    <>
      <Callout state={row.state} reason={worker.state_message} todo={row.state === "unreachable" || row.state === "error" ? l.unreachableWorker : l.todo[row.state]} doctor={doctorOf({ worker: worker.name })} />
      <Facts
        of={[
          [l.cluster, row.clusterName],
          [l.address, address],
          [l.version, worker.version],
          [l.generation, worker.applied_generation === 0 ? l.builtIn : worker.applied_generation],
          [l.lastReport, worker.last_report_at === undefined ? undefined : <Time at={worker.last_report_at} />],
          [l.registered, worker.registered_at === undefined ? undefined : <Time at={worker.registered_at} />],
          labels.length === 0
            ? undefined
            : [
                l.labels,
                labels.map(([k, v]) => (
                  <span key={k} class="f-label">{`${k}=${v}`}</span>
                )),
              ],
        ]}
      />
      <Links
        of={[
          [l.workerDashboard, dashboard("gpustack-worker", { cluster_name: row.clusterName, worker_name: worker.name })],
          [l.gpuDashboard, dashboard("stackscope-gpus", { cluster_name: row.clusterName, worker_name: worker.name })],
          [t.fleet.doctor, doctorOf({ worker: worker.name })],
        ]}
      />
      <ItsInstances row={row} inventory={inventory} selector={selector} />
      <ItsGPUs row={row} inventory={inventory} selector={selector} />
      <Charts place={place} charts={charts} />
    </>
  );
}

interface Of {
  row: WorkerRow;
  inventory: Inventory;
  selector: string;
}

function ItsInstances({ row, inventory, selector }: Of) {
  const rows = useMemo(() => sortRows(instanceRows(inventory).filter((r) => r.instance.worker_id === row.item.id), undefined, false), [inventory, row.item.id]);
  const metrics = useHasMetrics();
  const asked = useMetrics(metrics && rows.length > 0 ? [instanceExpressions.running(selector), instanceExpressions.waiting(selector), instanceExpressions.cache(selector)] : [], 1800, 60);
  return (
    <section>
      <h2>{l.itsInstances}</h2>
      {rows.length === 0 ? <p class="f-dim">{l.noItsInstances}</p> : <Table title={l.itsInstances} rows={rows} columns={instanceColumns(asked, ["worker"])} />}
    </section>
  );
}

function ItsGPUs({ row, inventory, selector }: Of) {
  const devices = useGPUs();
  const metrics = useHasMetrics();
  const values = useMetrics(metrics ? [gpus.info(selector), gpus.users(selector), gpus.used(selector), gpus.total(selector), gpus.temperature(selector), gpus.power(selector)] : [], 0);
  const busy = useMetrics(metrics ? [gpus.busy(selector)] : [], 1800, 60);
  const rows = gpuRows(devices.older ? undefined : (devices.items ?? []), values.answers?.[0] ?? [], values.answers?.[1] ?? [], inventory).filter((g) => g.workerID === row.item.id);
  sortRows(rows, undefined, false);
  return (
    <section>
      <h2>{l.itsGPUs}</h2>
      {rows.length === 0 ? <p class="f-dim">{l.noWorkerGPUs}</p> : <Table title={l.itsGPUs} rows={rows} columns={gpuColumns(values, busy, ["worker"])} />}
    </section>
  );
}

function chartsOf(selector: string): Chart[] {
  const gpu = "GPU {{gpu_index}}";
  const node = (metric: string) => `max(gpustack:${metric}{${selector}})`;
  return [
    { title: l.gpuBusy, panel: { ...thin, unit: "percent", max: 100 }, queries: () => [{ expr: gpus.busy(selector), legend: gpu }] },
    { title: l.gpuMemoryUsed, panel: { ...thin, unit: "bytes" }, queries: () => [{ expr: gpus.used(selector), legend: gpu }] },
    { title: l.gpuTemperature, panel: { ...thin, unit: "celsius" }, queries: () => [{ expr: gpus.temperature(selector), legend: gpu }] },
    { title: l.gpuPower, panel: { ...thin, unit: "watt" }, queries: () => [{ expr: gpus.power(selector), legend: gpu }] },
    {
      title: l.cpu,
      panel: { ...thin, unit: "percent", max: 100 },
      queries: () => [
        { expr: node("worker_node_cpu_utilization_rate"), legend: l.cpuName },
        { expr: node("worker_node_memory_utilization_rate"), legend: l.memory },
      ],
    },
  ];
}
