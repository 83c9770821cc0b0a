// The page of one instance.
import { useMemo } from "preact/hooks";
import { t } from "../texts";
import { l } from "../texts/lists";
import type { Place } from "../router";
import { Charts, thin, type Chart } from "./charts";
import { Callout, Detail, Facts, Links } from "./detail";
import { gpus, instanceStates, is, oneInstance, statesOverTime } from "./expressions";
import { gpuColumns } from "./gpucolumns";
import { useGPUs, useInventory } from "./inventory";
import { Table } from "./list";
import { useMetrics } from "./metrics";
import { NativePage } from "./nativepage";
import { dashboard, safeLink } from "./pagereport";
import { doctorOf, useHasMetrics } from "./parts";
import { gpuRows, instanceRows, type InstanceRow, type Inventory } from "./rows";
import { time } from "./since";
import { Time } from "./time";

export function InstancePage({ id, place }: { id: number; place: Place }) {
  const { inventory, lists } = useInventory();
  const row = useMemo(() => inventory && instanceRows(inventory).find((r) => r.instance.id === id), [inventory, id]);
  return (
    <Detail
      list={{ href: "/instances", title: l.instancesTitle }}
      name={row?.instance.name}
      state={row?.state ?? ""}
      since={row?.instance.since}
      gone={l.gone(l.anInstance, id)}
      lists={lists}
      loaded={inventory !== undefined}
    >
      {row && inventory && <Known row={row} inventory={inventory} place={place} />}
    </Detail>
  );
}

function Known({ row, inventory, place }: { row: InstanceRow; inventory: Inventory; place: Place }) {
  const { instance, clusterName, workerName, modelName } = row;
  const selector = [is("cluster_name", clusterName), is("worker_name", workerName), is("model_instance_name", instance.name)].join(", ");
  const charts = useMemo(() => chartsOf(selector), [selector]);
  const address = safeLink(instance.url);
  const variables = { cluster_name: clusterName, model_name: modelName, model_instance_name: instance.name };
  const doctor = doctorOf({ instance: instance.name, worker: workerName });
  return (
    <>
      <Callout state={row.state} reason={instance.state_message} todo={l.todo[row.state]} doctor={doctor} />
      <Facts
        of={[
          [l.model, modelName === undefined ? l.notKnown : <a href={`/models/${instance.model_id}`}>{modelName}</a>],
          [l.worker, workerName === "" ? undefined : <a href={`/workers/${instance.worker_id}`}>{workerName}</a>],
          [l.cluster, clusterName],
          [l.url, address === undefined ? instance.url : <a href={address} rel="noreferrer">{instance.url}</a>],
          [l.runtime, `${instance.runtime} ${instance.runtime_version}`.trim()],
          [l.role, instance.role],
          [l.group, instance.group],
          [l.restarts, instance.restart_count],
          [l.lastRestartAt, time(instance.last_restart_at) === undefined ? undefined : <Time at={instance.last_restart_at} />],
        ]}
      />
      <Links
        of={[
          modelName === undefined ? undefined : [l.instanceDashboard, dashboard("gpustack-model", variables)],
          workerName === "" ? undefined : [l.workerDashboard, dashboard("gpustack-worker", { cluster_name: clusterName, worker_name: workerName })],
          instance.role === "" || modelName === undefined ? undefined : [l.pdDashboard, dashboard("gpustack-pd", { cluster_name: clusterName, model_name: modelName })],
          modelName === undefined ? undefined : [l.enginesDashboard, dashboard("stackscope-engines", { cluster_name: clusterName, model_name: modelName })],
          [t.fleet.doctor, doctor],
        ]}
      />
      <Charts place={place} charts={charts} />
      <ItsGPUs row={row} inventory={inventory} selector={selector} />
      <NativePage id={instance.id} />
    </>
  );
}

function ItsGPUs({ row, inventory, selector }: { row: InstanceRow; inventory: Inventory; selector: string }) {
  const devices = useGPUs();
  const metrics = useHasMetrics();
  const ofWorker = [is("cluster_name", row.clusterName), is("worker_name", row.workerName)].join(", ");
  const values = useMetrics(metrics ? [gpus.info(ofWorker), gpus.users(selector), gpus.used(ofWorker), gpus.total(ofWorker), gpus.temperature(ofWorker), gpus.power(ofWorker)] : [], 0);
  const busy = useMetrics(metrics ? [gpus.busy(ofWorker)] : [], 1800, 60);
  const all = gpuRows(devices.older ? undefined : (devices.items ?? []), values.answers?.[0] ?? [], values.answers?.[1] ?? [], inventory);
  const mine = all.filter((g) => g.workerName === row.workerName && g.users.some((u) => (u.id === undefined ? u.name === row.instance.name : u.id === row.instance.id)));
  return (
    <section>
      <h2>{l.itsGPUs}</h2>
      {mine.length === 0 ? <p class="f-dim">{l.noItsGPUs}</p> : <Table title={l.itsGPUs} rows={mine} columns={gpuColumns(values, busy, ["worker"])} />}
    </section>
  );
}

function chartsOf(selector: string): Chart[] {
  const quantiles = (of: typeof oneInstance.ttft) => (w: string) => [0.5, 0.95, 0.99].map((q) => ({ expr: of(q, selector, w), legend: `p${q * 100}` }));
  return [
    {
      title: l.states30,
      kind: "state-timeline",
      wide: true,
      height: 106,
      panel: { values: instanceStates.map(([value, state, color]) => ({ value, text: l.stateNames[state] ?? state, color })) },
      queries: () => [{ expr: statesOverTime(selector), legend: "{{model_instance_name}}" }],
    },
    {
      title: l.requests,
      panel: { unit: "short" },
      queries: () => [
        { expr: oneInstance.running(selector), legend: l.running },
        { expr: oneInstance.waiting(selector), legend: l.waiting },
      ],
    },
    {
      title: l.tokenRate,
      panel: { unit: "count:tok/s" },
      queries: (w) => [
        { expr: oneInstance.generated(selector, w), legend: l.generated },
        { expr: oneInstance.prompt(selector, w), legend: l.prompt },
      ],
    },
    { title: l.ttftChart, panel: { ...thin, unit: "s" }, queries: quantiles(oneInstance.ttft) },
    { title: l.itlChart, panel: { ...thin, unit: "s" }, queries: quantiles(oneInstance.itl) },
    { title: l.cacheChart, panel: { max: 1, unit: "percentunit", noLegend: true }, queries: () => [{ expr: oneInstance.cache(selector), legend: l.cache }] },
    { title: l.gpuMemory, panel: { ...thin, unit: "bytes" }, queries: () => [{ expr: oneInstance.gpuMemory(selector), legend: "GPU {{gpu_index}}" }] },
    {
      title: l.restartsChart,
      panel: { unit: "none", decimals: 0, noLegend: true, overrides: [{ matching: ".*", properties: { "custom.lineInterpolation": "stepAfter", "custom.fillOpacity": 0, "custom.axisSoftMax": 2 } }] },
      queries: () => [{ expr: oneInstance.restarts(selector), legend: l.restarts }],
    },
  ];
}
