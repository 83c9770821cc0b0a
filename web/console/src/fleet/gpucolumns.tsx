import { Fragment } from "preact";
import { format } from "../format";
import type { Series } from "../model/panel";
import { l } from "../texts/lists";
import type { Column } from "./list";
import type { Asked } from "./metrics";
import { Cut, Name, OrNone, State } from "./parts";
import { gpuKey, type GPURow } from "./rows";
import { Spark } from "./spark";
import { newest } from "./sparkline";
import { rank } from "./states";

function byGPU(series: readonly Series[] | undefined): Map<string, Series> {
  return new Map((series ?? []).map((s) => [gpuKey(s.labels), s]));
}

/** Columns of GPUs. values: info, users, memory used, memory total, temperature, power now; busy: utilization over time. */
export function gpuColumns(values: Asked, busy: Asked, without: readonly string[] = []): Column<GPURow>[] {
  const [used, total, temperature, power] = [2, 3, 4, 5].map((i) => byGPU(values.answers?.[i]));
  const lines = byGPU(busy.answers?.[0]);
  const now = (of: Map<string, Series> | undefined, r: GPURow) => of?.get(r.series)?.values.at(-1);
  const memory = (r: GPURow) => r.total ?? now(total, r);
  const cell = (value: number | undefined, unit: string, decimals?: number) => <OrNone>{value === undefined ? undefined : format(value, unit, decimals)}</OrNone>;
  const all: Column<GPURow>[] = [
    {
      name: "gpu",
      title: l.gpu,
      kind: "head",
      value: (r) => `${r.workerName} ${r.index} ${r.chip}`,
      cell: (r) => (
        <>
          {r.chip > 0 ? `${r.index}.${r.chip}` : r.index} <span class="f-light">{r.name}</span>
          {r.uuid !== "" && <small title={r.uuid}>{r.uuid}</small>}
        </>
      ),
    },
    { name: "worker", title: l.worker, value: (r) => r.workerName, cell: (r) => <Name {...(r.workerID === undefined ? {} : { href: `/workers/${r.workerID}` })}>{r.workerName}</Name> },
    { name: "vendor", title: l.vendor, value: (r) => r.vendor || undefined, cell: (r) => <OrNone>{r.vendor}</OrNone> },
    {
      name: "state",
      title: l.state,
      value: (r) => rank(r.state),
      cell: (r) => (
        <>
          <State state={r.state} />
          {r.reason !== "" && <Cut text={r.reason} />}
        </>
      ),
    },
    { name: "busy", title: l.busy, value: (r) => newest(lines.get(r.series), busy.range.to, busy.step), highestFirst: true, cell: (r) => <Spark series={lines.get(r.series)} asked={busy} unit="percent" decimals={0} most={100} what={l.busy30} /> },
    {
      name: "used",
      title: l.used,
      kind: "number",
      value: (r) => now(used, r),
      highestFirst: true,
      cell: (r) => <Used used={now(used, r)} total={memory(r)} />,
    },
    { name: "memory", title: l.vram, kind: "number", value: memory, highestFirst: true, cell: (r) => cell(memory(r), "bytes", 0) },
    { name: "temperature", title: l.temperature, kind: "number", value: (r) => now(temperature, r), highestFirst: true, cell: (r) => cell(now(temperature, r), "celsius", 0) },
    { name: "power", title: l.power, kind: "number", value: (r) => now(power, r), highestFirst: true, cell: (r) => cell(now(power, r), "watt", 0) },
    { name: "users", title: l.users, kind: "wide", value: (r) => r.users[0]?.name, cell: (r) => <Users row={r} /> },
  ];
  return all.filter((c) => !without.includes(c.name));
}

function Used({ used, total }: { used: number | undefined; total: number | undefined }) {
  if (used === undefined) return <OrNone>{undefined}</OrNone>;
  return (
    <>
      {format(used, "bytes", 1)}
      {total !== undefined && total > 0 && <small>{format(used / total, "percentunit", 0)}</small>}
    </>
  );
}

const mostUsers = 4;

function Users({ row }: { row: GPURow }) {
  if (row.users.length === 0) return <span class="f-none">{l.notUsed}</span>;
  return (
    <>
      {row.users.slice(0, mostUsers).map((u, i) => (
        <Fragment key={u.id ?? u.name}>
          {i > 0 && ", "}
          {u.id === undefined ? u.name : <a href={`/instances/${u.id}`}>{u.name}</a>}
        </Fragment>
      ))}
      {row.users.length > mostUsers && ` ${l.moreUsers(row.users.length - mostUsers)}`}
    </>
  );
}
