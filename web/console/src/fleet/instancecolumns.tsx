import { l } from "../texts/lists";
import type { Column } from "./list";
import { byLabels, type Asked } from "./metrics";
import { Cut, doctorOf, Name, OrNone, StateCell } from "./parts";
import type { InstanceRow } from "./rows";
import { time } from "./since";
import { Spark } from "./spark";
import { rank } from "./states";
import { newest } from "./sparkline";
import { Time } from "./time";

const identity = ["cluster_name", "worker_name", "model_instance_name"];

/** Columns of a list of instances; a page of one worker or model leaves out its own. */
export function instanceColumns(asked: Asked, without: readonly string[] = []): Column<InstanceRow>[] {
  const [running, waiting, cache] = [0, 1, 2].map((i) => byLabels(asked.answers?.[i], ...identity));
  const now = (of: ReturnType<typeof byLabels> | undefined) => (row: InstanceRow) => newest(of?.get(row.series), asked.range.to, asked.step);
  const all: Column<InstanceRow>[] = [
    { name: "name", title: l.name, kind: "head", value: (r) => r.instance.name, cell: (r) => <Name href={`/instances/${r.instance.id}`}>{r.instance.name}</Name> },
    { name: "state", title: l.state, value: (r) => rank(r.state), cell: (r) => <StateCell state={r.state} reason={r.instance.state_message} doctor={doctorOf({ instance: r.instance.name, worker: r.workerName })} /> },
    { name: "reason", title: l.reason, kind: "wide", ifAny: true, value: (r) => r.instance.state_message || undefined, cell: (r) => <Cut text={r.instance.state_message} /> },
    { name: "since", title: l.since, ifAny: true, about: l.sinceTitle, value: (r) => time(r.instance.since), highestFirst: true, cell: (r) => <Time at={r.instance.since} bare /> },
    { name: "model", title: l.model, value: (r) => r.modelName, cell: (r) => <ModelName row={r} /> },
    { name: "worker", title: l.worker, value: (r) => r.workerName, cell: (r) => <Name href={`/workers/${r.instance.worker_id}`}>{r.workerName}</Name> },
    {
      name: "runtime",
      title: l.runtime,
      kind: "plain",
      value: (r) => `${r.instance.runtime} ${r.instance.runtime_version}`.trim() || undefined,
      cell: (r) => <OrNone>{`${r.instance.runtime} ${r.instance.runtime_version}`.trim()}</OrNone>,
    },
    {
      name: "role",
      title: l.role,
      ifAny: true,
      value: (r) => `${r.instance.role} ${r.instance.group}`.trim() || undefined,
      cell: (r) => (
        <>
          <OrNone>{r.instance.role}</OrNone>
          {r.instance.group !== "" && <small>{r.instance.group}</small>}
        </>
      ),
    },
    {
      name: "restarts",
      title: l.restarts,
      kind: "number",
      value: (r) => r.instance.restart_count,
      highestFirst: true,
      cell: (r) => (
        <>
          {r.instance.restart_count}
          {time(r.instance.last_restart_at) !== undefined && (
            <small>
              <Time at={r.instance.last_restart_at} />
            </small>
          )}
        </>
      ),
    },
    { name: "running", title: l.running, value: now(running), highestFirst: true, cell: (r) => <Spark series={running?.get(r.series)} asked={asked} unit="short" what={l.running30} /> },
    { name: "waiting", title: l.waiting, value: now(waiting), highestFirst: true, cell: (r) => <Spark series={waiting?.get(r.series)} asked={asked} unit="short" what={l.waiting30} /> },
    { name: "cache", title: l.cache, value: now(cache), highestFirst: true, cell: (r) => <Spark series={cache?.get(r.series)} asked={asked} unit="percentunit" decimals={0} most={1} what={l.cache30} /> },
  ];
  return all.filter((c) => !without.includes(c.name));
}

function ModelName({ row }: { row: InstanceRow }) {
  if (row.modelName !== undefined) return <Name href={`/models/${row.instance.model_id}`}>{row.modelName}</Name>;
  // A gateway runs and has no model; an engine without one has a reason.
  const gateway = row.state === "running" && row.instance.state_message === "";
  return (
    <span class="f-none" title={gateway ? l.noModelWhy : row.instance.state_message}>
      {gateway ? l.noModel : l.notKnown}
    </span>
  );
}
