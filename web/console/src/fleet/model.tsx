// The page of one model.
import { useMemo } from "preact/hooks";
import type { Place } from "../router";
import { t } from "../texts";
import { l } from "../texts/lists";
import { Charts, thin, type Chart } from "./charts";
import { Callout, Detail, Facts, Links } from "./detail";
import { instances as instanceExpressions, instanceStates, is, oneModel, statesOverTime } from "./expressions";
import { sortRows } from "./filters";
import { instanceColumns } from "./instancecolumns";
import { useInventory } from "./inventory";
import { Table } from "./list";
import { useMetrics } from "./metrics";
import { modelReason } from "./modelreason";
import { dashboard } from "./pagereport";
import { doctorOf, useHasMetrics } from "./parts";
import { instanceRows, modelRows, type Inventory, type ModelRow } from "./rows";

export function ModelPage({ id, place }: { id: number; place: Place }) {
  const { inventory, lists } = useInventory();
  const row = useMemo(() => inventory && modelRows(inventory).find((r) => r.item.id === id), [inventory, id]);
  return (
    <Detail
      list={{ href: "/models", title: l.models }}
      name={row?.item.name}
      state={row?.state ?? ""}
      since={row?.since}
      gone={l.gone(l.aModel, id)}
      lists={lists}
      loaded={inventory !== undefined}
    >
      {row && inventory && <Known row={row} inventory={inventory} place={place} />}
    </Detail>
  );
}

function Known({ row, inventory, place }: { row: ModelRow; inventory: Inventory; place: Place }) {
  const model = row.item;
  const selector = [is("cluster_name", row.clusterName), is("model_name", model.name)].join(", ");
  const charts = useMemo(() => chartsOf(selector, row.instances.length), [selector, row.instances.length]);
  const rows = useMemo(() => sortRows(instanceRows(inventory).filter((r) => r.instance.model_id === model.id), undefined, false), [inventory, model.id]);
  const metrics = useHasMetrics();
  const asked = useMetrics(metrics && rows.length > 0 ? [instanceExpressions.running(selector), instanceExpressions.waiting(selector), instanceExpressions.cache(selector)] : [], 1800, 60);
  const variables = { cluster_name: row.clusterName, model_name: model.name };
  return (
    <>
      <Callout state={row.state} reason={modelReason(row)} todo={l.todo[row.state]} doctor={doctorOf({ model: model.name })} />
      <Facts
        of={[
          [l.desired, l.ofInstances(row.running, model.desired_instances)],
          [l.runtime, row.engines],
          [l.cluster, row.clusterName],
          [l.category, model.category],
          [l.source, [model.source, model.source_key].filter(Boolean).join(": ")],
          model.roles.length === 0 ? undefined : [l.roles, model.roles.map((r) => <div key={r.role}>{l.rolesRow(r.role, r.ready_instances, r.desired_instances)}</div>)],
        ]}
      />
      <Links
        of={[
          [l.modelDashboard, dashboard("gpustack-model", variables)],
          [l.enginesDashboard, dashboard("stackscope-engines", variables)],
          model.roles.length === 0 ? undefined : [l.pdDashboard, dashboard("gpustack-pd", variables)],
          [t.fleet.doctor, doctorOf({ model: model.name })],
        ]}
      />
      <section>
        <h2>{l.itsInstances}</h2>
        {rows.length === 0 ? <p class="f-dim">{l.noItsInstances}</p> : <Table title={l.itsInstances} rows={rows} columns={instanceColumns(asked, ["model"])} />}
      </section>
      <Charts place={place} charts={charts} />
    </>
  );
}

function chartsOf(selector: string, instances: number): Chart[] {
  const quantiles = (of: typeof oneModel.ttft) => (w: string) => [0.5, 0.95, 0.99].map((q) => ({ expr: of(q, selector, w), legend: `p${q * 100}` }));
  const states: Chart[] =
    instances > 8
      ? [] // the dashboard of the model has room for more
      : [
          {
            title: l.states30,
            kind: "state-timeline",
            wide: true,
            height: 72 + 32 * Math.max(1, instances),
            panel: { values: instanceStates.map(([value, state, color]) => ({ value, text: l.stateNames[state] ?? state, color })) },
            queries: () => [{ expr: statesOverTime(selector), legend: "{{model_instance_name}}" }],
          },
        ];
  return [
    ...states,
    {
      title: l.requests,
      panel: { unit: "short" },
      queries: () => [
        { expr: oneModel.running(selector), legend: l.running },
        { expr: oneModel.waiting(selector), legend: l.waiting },
      ],
    },
    {
      title: l.tokenRate,
      panel: { unit: "count:tok/s" },
      queries: (w) => [
        { expr: oneModel.generated(selector, w), legend: l.generated },
        { expr: oneModel.prompt(selector, w), legend: l.prompt },
      ],
    },
    { title: l.ttftChart, panel: { ...thin, unit: "s" }, queries: quantiles(oneModel.ttft) },
    { title: l.itlChart, panel: { ...thin, unit: "s" }, queries: quantiles(oneModel.itl) },
    { title: l.cacheChart, panel: { ...thin, unit: "percentunit", max: 1 }, queries: () => [{ expr: oneModel.cache(selector), legend: "{{model_instance_name}}" }] },
  ];
}
