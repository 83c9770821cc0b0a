// One finding: what is wrong, what shows it, what to do.
import { Command } from "../fleet/parts";
import { d } from "../texts/doctor";
import type { Finding as Of } from "./answer";
import { docsOf, hopName, severityName, subjectOf, wordsOf } from "./words";

const marks: Record<string, string> = { error: "✕", warning: "!", info: "i" };

export function Finding({ of: f, open }: { of: Of; open: boolean }) {
  const about = subjectOf(f);
  return (
    <details class={`dr-finding dr-of-${f.severity}`} open={open} data-finding={f.id}>
      <summary>
        <span class="dr-mark" aria-hidden="true">
          {marks[f.severity] ?? "?"}
        </span>
        <span class="dr-what">
          <span class="dr-severity">{severityName(f.severity)}</span> <Words of={f.what} />
          {(about !== "" || f.hop !== "") && <small class="f-dim">{[about, f.hop === "" ? "" : d.at(hopName(f.hop)), f.id].filter(Boolean).join(" · ")}</small>}
        </span>
      </summary>
      <dl>
        {f.seen !== "" && (
          <>
            <dt>{d.whatSeen}</dt>
            <dd>{f.seen}</dd>
          </>
        )}
        {f.do !== "" && (
          <>
            <dt>{d.whatToDo}</dt>
            <dd>
              <Words of={f.do} commands />
            </dd>
          </>
        )}
        {f.docs !== "" && (
          <>
            <dt>{d.docs}</dt>
            <dd>{docsOf(f.docs)}</dd>
          </>
        )}
      </dl>
    </details>
  );
}

/** Up to as many characters stay on one line: a flag is not broken after its hyphens. */
const unbroken = 24;

/** A sentence with its code set apart, and its commands with a button that copies them. */
export function Words({ of, commands }: { of: string; commands?: boolean }) {
  return (
    <>
      {wordsOf(of).map((w, i) =>
        w.kind === "command" && commands ? <Command key={i} text={w.text} /> : w.kind ? <code key={i} class={w.text.length <= unbroken ? "dr-short" : ""}>{w.text}</code> : <span key={i}>{w.text}</span>,
      )}
    </>
  );
}
