// What went wrong with a change, and how to go on; a change that was faster is shown with its difference.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { generationOf } from "../api/change";
import { generations, type Generation } from "../api/mapping";
import { json, request } from "../api/request";
import { Time } from "../fleet/time";
import { c } from "../texts/mappingchange";
import { Diff } from "./diff";
import type { Outcome } from "./outcome";

interface TroubleProps {
  outcome: Outcome;
  /** What failed, in words. */
  failed: string;
  base: number;
  again(): void;
  takeBase(generation: number): void;
}

/** What a refused change, or a refused dry run, means, and how to go on. */
export function Trouble({ outcome, failed, base, again, takeBase }: TroubleProps) {
  switch (outcome.kind) {
    case "conflict":
      return <Conflict outcome={outcome} base={base} takeBase={takeBase} />;
    case "token":
      return (
        <Alert title={c.noToken}>
          <p>{outcome.message}</p>
          <p>{c.nothingLost}</p>
          <button type="button" onClick={again}>
            {c.giveToken}
          </button>
        </Alert>
      );
    case "faults":
      return (
        <Alert title={outcome.faults.length > 0 ? c.faults(outcome.faults.length) : failed}>
          {outcome.faults.length === 0 && <p>{outcome.message}</p>}
          <ul>
            {outcome.faults.slice(0, 100).map((f) => (
              <li key={`${f.line} ${f.pointer} ${f.detail}`}>
                <code>{f.line === undefined ? f.pointer : c.atLine(f.line, f.pointer)}</code>: {f.detail}
              </li>
            ))}
          </ul>
        </Alert>
      );
    case "unsure":
      return (
        <Alert title={failed}>
          <p>{outcome.message}</p>
          <p>{c.notSure}</p>
        </Alert>
      );
    case "failed":
      return (
        <Alert title={failed}>
          <p>{outcome.message}</p>
          {outcome.retryAfter !== undefined && <p>{c.busy(outcome.retryAfter)}</p>}
          <p>{c.nothingLost}</p>
        </Alert>
      );
  }
}

function Alert({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="f-callout tone-bad mc-alert" role="alert">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  );
}

/** Who was faster, what the difference is, and how to go on. */
function Conflict({ outcome, base, takeBase }: { outcome: Extract<Outcome, { kind: "conflict" }>; base: number; takeBase(generation: number): void }) {
  const [active, setActive] = useState<Generation>();
  const [number, setNumber] = useState(outcome.active);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    let here = true;
    void activeGeneration().then((found) => {
      if (!here || !found) return;
      setNumber(found.generation);
      setActive(found);
    });
    return () => {
      here = false;
    };
  }, [outcome]);
  return (
    <Alert title={c.conflict}>
      {number !== undefined && (
        <p>
          {c.conflictNow(number)}{" "}
          {active && (
            <span class="f-dim">
              {active.at !== undefined && <Time at={active.at} />} {active.author !== "" && c.byAuthor(active.author)} {active.comment !== "" && <q>{active.comment}</q>}
            </span>
          )}
        </p>
      )}
      {outcome.detail !== "" && <p class="f-dim">{outcome.detail}</p>}
      {number !== undefined && (
        <>
          <p class="mc-buttons">
            <button type="button" aria-expanded={shown} onClick={() => setShown(!shown)}>
              {c.showDifference(base, number)}
            </button>
            <button type="button" onClick={() => takeBase(number)}>
              {c.takeBase(number)}
            </button>
          </p>
          <p class="f-dim">{c.takeBaseWhy}</p>
          {shown && <Diff from={base} to={number} />}
        </>
      )}
    </Alert>
  );
}

/** The generation that is active now, with what is known of it; undefined if that could not be read. */
async function activeGeneration(): Promise<Generation | undefined> {
  try {
    const list = await json("/v2/metrics/config/generations?perPage=20", generations);
    const found = list.items.find((g) => g.active);
    if (found) return found;
  } catch {
    // an older server: the mapping's ETag says the number
  }
  try {
    const response = await request("/v2/metrics/config");
    const number = generationOf(response);
    await response.body?.cancel();
    return number === undefined ? undefined : { generation: number, active: true, default: number === 0, at: undefined, extends: "", author: "", comment: "", restored_from: undefined, metrics: 0, problem: "" };
  } catch {
    return undefined;
  }
}
