import { useMemo } from "preact/hooks";
import type { PageProps } from "../app";
import { l } from "../texts/lists";
import { models as expressions } from "./expressions";
import { useInventory } from "./inventory";
import { List, type Column } from "./list";
import { byLabels, sparkPoints, useMetrics, type Asked } from "./metrics";
import { ModelPage } from "./model";
import { modelReason } from "./modelreason";
import { Cut, doctorOf, Empty, Name, OrNone, StateCell, useHasMetrics } from "./parts";
import { modelRows, type ModelRow } from "./rows";
import { time } from "./since";
import { Spark } from "./spark";
import { newest } from "./sparkline";
import { rank } from "./states";
import { Time } from "./time";

export default function Page({ place }: PageProps) {
  const id = /^\/models\/(\d+)$/.exec(place.path)?.[1];
  return id === undefined ? <Models place={place} /> : <ModelPage key={id} id={Number(id)} place={place} />;
}

const asked30 = [expressions.running(), expressions.waiting(), expressions.tokens(), expressions.ttft()];

function Models({ place }: PageProps) {
  const { inventory, lists } = useInventory();
  const rows = useMemo(() => inventory && modelRows(inventory), [inventory]);
  const metrics = useHasMetrics();
  const asked = useMetrics(metrics && rows && rows.length > 0 ? asked30 : [], 1800, sparkPoints(rows?.length ?? 0));
  const columns = useMemo(() => modelColumns(asked), [asked]);
  return (
    <List
      place={place}
      title={l.models}
      rows={rows}
      columns={columns}
      filters={["cluster"]}
      lists={lists}
      metricsError={asked.error}
      empty={
        <Empty title={l.noModels}>
          <p>{l.noModelsHow}</p>
          <p>
            <a href="/instances">{l.toInstances}</a>
          </p>
        </Empty>
      }
    />
  );
}

function modelColumns(asked: Asked): Column<ModelRow>[] {
  const [running, waiting, tokens, ttft] = [0, 1, 2, 3].map((i) => byLabels(asked.answers?.[i], "cluster_name", "model_name"));
  const now = (of: ReturnType<typeof byLabels> | undefined) => (row: ModelRow) => newest(of?.get(row.series), asked.range.to, asked.step);
  return [
    {
      name: "name",
      title: l.name,
      kind: "head",
      value: (r) => r.item.name,
      cell: (r) => (
        <>
          <Name href={`/models/${r.item.id}`}>{r.item.name}</Name>
          {r.clusterName !== "default" && <small>{r.clusterName}</small>}
        </>
      ),
    },
    { name: "state", title: l.state, value: (r) => rank(r.state), cell: (r) => <StateCell state={r.state} reason={modelReason(r)} doctor={doctorOf({ model: r.item.name })} /> },
    { name: "instances", title: l.instances, kind: "plain", value: (r) => r.running, highestFirst: true, cell: (r) => <a href={`/instances?model=${encodeURIComponent(r.item.name)}`}>{l.ofInstances(r.running, r.item.desired_instances)}</a> },
    { name: "reason", title: l.reason, kind: "wide", ifAny: true, value: (r) => modelReason(r) || undefined, cell: (r) => <Cut text={modelReason(r)} /> },
    { name: "since", title: l.since, ifAny: true, about: l.sinceTitle, value: (r) => time(r.since), highestFirst: true, cell: (r) => <Time at={r.since} bare /> },
    { name: "category", title: l.category, ifAny: true, value: (r) => r.item.category || undefined, cell: (r) => <OrNone>{r.item.category}</OrNone> },
    { name: "runtime", title: l.runtime, kind: "plain", value: (r) => r.engines || undefined, cell: (r) => <OrNone>{r.engines}</OrNone> },
    { name: "running", title: l.running, value: now(running), highestFirst: true, cell: (r) => <Spark series={running?.get(r.series)} asked={asked} unit="short" what={l.running30} /> },
    { name: "waiting", title: l.waiting, value: now(waiting), highestFirst: true, cell: (r) => <Spark series={waiting?.get(r.series)} asked={asked} unit="short" what={l.waiting30} /> },
    { name: "tokens", title: l.tokens, value: now(tokens), highestFirst: true, cell: (r) => <Spark series={tokens?.get(r.series)} asked={asked} unit="short" what={l.tokens30} /> },
    { name: "ttft", title: l.ttft, value: now(ttft), highestFirst: true, cell: (r) => <Spark series={ttft?.get(r.series)} asked={asked} unit="s" what={l.ttft30} /> },
  ];
}
