import { useMemo } from "preact/hooks";
import type { PageProps } from "../app";
import { useSettings } from "../api/settings";
import { l } from "../texts/lists";
import { workers as expressions } from "./expressions";
import { useInventory } from "./inventory";
import { List, type Column } from "./list";
import { byLabels, sparkPoints, useMetrics, type Asked } from "./metrics";
import { Command, Cut, doctorOf, Empty, Name, OrNone, StateCell, useHasMetrics } from "./parts";
import { workerRows, type WorkerRow } from "./rows";
import { time } from "./since";
import { Spark } from "./spark";
import { newest } from "./sparkline";
import { rank } from "./states";
import { Time } from "./time";
import { WorkerPage } from "./worker";

export default function Page({ place }: PageProps) {
  const id = /^\/workers\/(\d+)$/.exec(place.path)?.[1];
  return id === undefined ? <Workers place={place} /> : <WorkerPage key={id} id={Number(id)} place={place} />;
}

const asked30 = [expressions.busy(), expressions.memory(), expressions.gpus()];

function Workers({ place }: PageProps) {
  const { inventory, lists } = useInventory(true);
  const settings = useSettings();
  const rows = useMemo(() => inventory && workerRows(inventory), [inventory]);
  const metrics = useHasMetrics();
  const asked = useMetrics(metrics && rows && rows.length > 0 ? asked30 : [], 1800, sparkPoints(rows?.length ?? 0));
  const columns = useMemo(() => workerColumns(asked), [asked]);
  return (
    <List
      place={place}
      title={l.workers}
      rows={rows}
      columns={columns}
      filters={["cluster"]}
      lists={lists}
      metricsError={asked.error}
      empty={
        <Empty title={l.noWorkers}>
          <p>{l.noWorkersHow}</p>
          <Command text={settings?.join_command || "stackscope-worker --server-url " + location.origin + " --token-file FILE"} />
          <p class="f-dim">{l.noWorkersToken}</p>
        </Empty>
      }
    />
  );
}

function workerColumns(asked: Asked): Column<WorkerRow>[] {
  const [busy, memory, gpus] = [0, 1, 2].map((i) => byLabels(asked.answers?.[i], "cluster_name", "worker_name"));
  const now = (of: ReturnType<typeof byLabels> | undefined) => (row: WorkerRow) => newest(of?.get(row.series), asked.range.to, asked.step);
  return [
    { name: "name", title: l.name, kind: "head", value: (r) => r.item.name, cell: (r) => <Name href={`/workers/${r.item.id}`}>{r.item.name}</Name> },
    { name: "cluster", title: l.cluster, value: (r) => r.clusterName, cell: (r) => <Name>{r.clusterName}</Name> },
    { name: "state", title: l.state, value: (r) => rank(r.state), cell: (r) => <StateCell state={r.state} reason={r.item.state_message} doctor={doctorOf({ worker: r.item.name })} /> },
    { name: "reason", title: l.reason, kind: "wide", ifAny: true, value: (r) => r.item.state_message || undefined, cell: (r) => <Cut text={r.item.state_message} /> },
    { name: "since", title: l.since, ifAny: true, about: l.sinceTitle, value: (r) => time(r.item.since), highestFirst: true, cell: (r) => <Time at={r.item.since} bare /> },
    { name: "report", title: l.lastReport, value: (r) => time(r.item.last_report_at), highestFirst: true, cell: (r) => <Time at={r.item.last_report_at} /> },
    { name: "instances", title: l.instances, kind: "number", value: (r) => r.instances.length, highestFirst: true, cell: (r) => <a href={`/instances?worker=${encodeURIComponent(r.item.name)}`}>{r.instances.length}</a> },
    { name: "gpus", title: l.gpus, kind: "number", value: now(gpus), highestFirst: true, cell: (r) => <OrNone>{now(gpus)(r)}</OrNone> },
    { name: "busy", title: l.busy, value: now(busy), highestFirst: true, cell: (r) => <Spark series={busy?.get(r.series)} asked={asked} unit="percent" decimals={0} most={100} what={l.busy30} /> },
    { name: "memory", title: l.memory, value: now(memory), highestFirst: true, cell: (r) => <Spark series={memory?.get(r.series)} asked={asked} unit="percent" decimals={0} most={100} what={l.memory30} /> },
    { name: "address", title: l.address, value: (r) => r.item.address, cell: (r) => <Name>{r.item.address}</Name> },
    { name: "version", title: l.version, value: (r) => r.item.version || undefined, cell: (r) => <Name>{r.item.version}</Name> },
    { name: "mapping", title: l.mapping, kind: "number", value: (r) => r.item.applied_generation, cell: (r) => r.item.applied_generation },
  ];
}
