// The arrival of a generation at the workers, live.
import { useMemo, useRef } from "preact/hooks";
import { useList } from "../api/lists";
import { items, worker, type Worker } from "../api/types";
import { Notices } from "../fleet/parts";
import { Time } from "../fleet/time";
import { c } from "../texts/mappingchange";
import { arrivalOf, Arrivals, type Arrived } from "./arrivals";

const workerItems = items(worker);
const mostRows = 200;

export function Arrival({ generation }: { generation: number }) {
  const workers = useList("/v2/workers", workerItems);
  const seen = useRef<Arrivals>(undefined);
  seen.current ??= new Arrivals();
  const list = workers.items;
  const rows = useMemo(() => {
    if (!list) return undefined;
    seen.current!.take(list, generation, Date.now());
    return [...list].sort((a, b) => urgency(a, generation) - urgency(b, generation) || a.name.localeCompare(b.name));
  }, [list, generation]);
  const arrived = rows?.filter((w) => arrivalOf(w, generation) === "applied").length ?? 0;
  return (
    <section class="mc-arrival" aria-label={c.arrival}>
      <h3>{c.arrival}</h3>
      <Notices of={[workers]} />
      {rows && (
        <p role="status" class="mc-sum">
          {rows.length === 0 ? c.noWorkers : c.uses(arrived, rows.length, generation)}
        </p>
      )}
      {rows && rows.length > 0 && (
        <ul class="mc-workers">
          {rows.slice(0, mostRows).map((w) => (
            <li key={w.id}>
              <a href={`/workers/${w.id}`}>{w.name}</a>
              <State worker={w} generation={generation} at={seen.current!.at(w.id)} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const urgencies: Record<Arrived, number> = { refused: 0, disconnected: 1, waiting: 2, newer: 3, applied: 4 };

function urgency(w: Worker, generation: number): number {
  return urgencies[arrivalOf(w, generation)];
}

function State({ worker: w, generation, at }: { worker: Worker; generation: number; at: number | undefined }) {
  const state = arrivalOf(w, generation);
  switch (state) {
    case "applied":
      return (
        <span>
          <span class="f-state tone-good">{c.arrived}</span> {at !== undefined && <Time at={at} />}
        </span>
      );
    case "newer":
      return <span class="f-state tone-good">{c.newer(w.applied_generation)}</span>;
    case "waiting":
      return (
        <span>
          <span class="f-state tone-busy">{c.waiting}</span> <span class="f-dim">{c.now(w.applied_generation)}</span>
        </span>
      );
    case "disconnected":
    case "refused":
      return (
        <span>
          <span class={`f-state ${state === "refused" ? "tone-bad" : "tone-warn"}`}>{state === "refused" ? c.refused : c.notConnected}</span>{" "}
          <span class="f-dim">{w.state_message || c.now(w.applied_generation)}</span> <a href={`/doctor?worker=${encodeURIComponent(w.name)}`}>{c.doctor}</a>
        </span>
      );
  }
}
