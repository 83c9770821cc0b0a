// The ways of samples, hop by hop.
import { useState } from "preact/hooks";
import { d } from "../texts/doctor";
import { firstBroken, pathState, sortPaths, type Answer, type Hop, type Path } from "./answer";
import { hopName, marks, secondsOf, stateName, titleOf } from "./words";

const openAtFirst = 1; // the findings above say the same of the others
const shownAtFirst = 50;

export function Paths({ answer }: { answer: Answer }) {
  const [most, setMost] = useState(shownAtFirst);
  const paths = sortPaths(answer);
  return (
    <section>
      <h2>{d.paths}</h2>
      {paths.length === 0 && <p class="f-dim">{d.noPaths}</p>}
      {paths.slice(0, most).map((p, i) => (
        <PathDetails key={`${p.worker_id} ${p.model_instance_id} ${p.metric}`} path={p} open={i < openAtFirst && (paths.length === 1 || pathState(p).state !== "ok")} />
      ))}
      {paths.length > most && (
        <button type="button" onClick={() => setMost(most + 200)}>
          {d.more(paths.length - most)}
        </button>
      )}
      {answer.paths_left_out > 0 && <p class="f-dim">{d.leftOut(answer.paths_left_out)}</p>}
    </section>
  );
}

function PathDetails({ path, open }: { path: Path; open: boolean }) {
  const { state, at } = pathState(path);
  const words = state === "ok" ? d.allPass : state === "broken" ? d.stopsAt(hopName(at!.hop)) : state === "warning" ? d.warnsAt(hopName(at!.hop)) : d.notAllSeen;
  const broken = firstBroken(path);
  return (
    <details class="dr-path" open={open}>
      <summary>
        <span class={`dr-mark dr-${state}`} aria-hidden="true">
          {marks[state]}
        </span>
        <b>{titleOf(path)}</b>
        <span class={`dr-words dr-${state}`}>{words}</span>
      </summary>
      <ol class="dr-hops">
        {path.hops.map((h, i) => (
          <HopItem key={h.hop} hop={h} first={i === broken} later={broken >= 0 && i > broken} />
        ))}
      </ol>
    </details>
  );
}

function HopItem({ hop: h, first, later }: { hop: Hop; first: boolean; later: boolean }) {
  return (
    <li class={`dr-hop dr-${h.state}${first ? " dr-first" : ""}${later ? " dr-later" : ""}`} data-hop={h.hop} data-state={h.state}>
      <p class="dr-head">
        <span class="dr-mark" aria-hidden="true">
          {marks[h.state] ?? "?"}
        </span>
        <b>{hopName(h.hop)}</b>
      </p>
      <p class="dr-state">
        {first ? <strong>{d.firstBroken}</strong> : stateName(h.state)}
        {later && <span class="hidden-text"> · {d.afterBroken}</span>}
        {h.seconds !== undefined && <span class="f-dim"> · {d.seconds(secondsOf(h.seconds))}</span>}
      </p>
      <p class="dr-seen">{h.seen}</p>
    </li>
  );
}
