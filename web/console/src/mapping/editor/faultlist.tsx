// The faults of the document as a list; each leads to its place.
import { m } from "../../texts/mapping";
import type { Placed } from "./faults";

const mostShown = 50;

interface Props {
  /** Undefined: not checked yet. */
  faults: readonly Placed[] | undefined;
  checking: boolean;
  goTo(fault: Placed): void;
}

export function FaultList({ faults, checking, goTo }: Props) {
  return (
    <section class="m-faults" aria-label={m.faults}>
      <p role="status" class={faults && faults.length > 0 ? "m-bad" : "f-dim"}>
        {checking ? m.checking : faults === undefined ? m.notChecked : faults.length === 0 ? m.noFaults : m.faultCount(faults.length)}
      </p>
      {faults && faults.length > 0 && (
        <ul>
          {faults.slice(0, mostShown).map((fault, i) => (
            <li key={`${i} ${fault.pointer}`}>
              <button onClick={() => goTo(fault)}>
                {fault.line !== undefined && <span class="m-line-number">{m.line(fault.line)}</span>}
                {fault.pointer !== "" && <code>{fault.pointer}</code>}
                <span>{fault.detail}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {faults && faults.length > mostShown && <p class="f-dim">{m.moreFaults(faults.length - mostShown)}</p>}
    </section>
  );
}
