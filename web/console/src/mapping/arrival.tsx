// The arrival of a generation at the workers, live.
import { useMemo, useRef } from "preact/hooks";
import { useList } from "../api/lists";
import { items, worker, type Worker } from "../api/types";
import { Notices } from "../fleet/parts";
import { useSeconds } from "../fleet/seconds";
import { Time } from "../fleet/time";
import { c } from "../texts/mappingchange";
import { applyTime, arrivalOf, Arrivals, type Arrived } from "./arrivals";

const workerItems = items(worker);
const mostRows = 200;

/** A generation arrives within a second; after this many, the doctor can tell more. */
const slow = 10;

export function Arrival({ generation }: { generation: number }) {
  const workers = useList("/v2/workers", workerItems);
  const seen = useRef<Arrivals>(undefined);
  seen.current ??= new Arrivals();
  const list = workers.items;
  const rows = useMemo(() => {
    if (!list) return undefined;
    seen.current!.take(list, generation, Date.now());
    const urgency = (w: Worker) => urgencies[arrivalOf(w, generation, 0)];
    return [...list].sort((a, b) => urgency(a) - urgency(b) || a.name.localeCompare(b.name));
  }, [list, generation]);
  const arrived = rows?.filter((w) => w.applied_generation === generation).length ?? 0;
  const seconds = useSeconds(arrived < (rows?.length ?? 1), applyTime);
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
              <State worker={w} state={arrivalOf(w, generation, seconds)} late={seconds >= slow} at={seen.current!.at(w.id)} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const urgencies: Record<Arrived, number> = { refused: 0, disconnected: 1, waiting: 2, newer: 3, applied: 4 };

function State({ worker: w, state, late, at }: { worker: Worker; state: Arrived; late: boolean; at: number | undefined }) {
  const doctor = <a href={`/doctor?worker=${encodeURIComponent(w.name)}`}>{c.doctor}</a>;
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
          <span class="f-state tone-busy">{c.waiting}</span> <span class="f-dim">{c.now(w.applied_generation)}</span> {late && doctor}
        </span>
      );
    case "disconnected":
    case "refused":
      return (
        <span>
          <span class={`f-state ${state === "refused" ? "tone-bad" : "tone-warn"}`}>{state === "refused" ? c.refused : c.notConnected}</span>{" "}
          <span class="f-dim">{w.state_message || c.now(w.applied_generation)}</span> {doctor}
        </span>
      );
  }
}
