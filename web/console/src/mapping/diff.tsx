// What turns one generation of the mapping into another.
import { useEffect, useState } from "preact/hooks";
import { diff, type Diff as Answer } from "../api/mapping";
import { json } from "../api/request";
import { c } from "../texts/mappingchange";
import { placeOf, pretty } from "./pointer";

const most = 300;

export function Diff({ from, to }: { from: number; to: number }) {
  const [got, set] = useState<{ answer?: Answer; error?: string }>({});
  useEffect(() => {
    const abort = new AbortController();
    set({});
    json(`/v2/metrics/config/generations/${from}/diff?to=${to}`, diff, { signal: abort.signal }).then(
      (answer) => set({ answer }),
      (e: unknown) => abort.signal.aborted || set({ error: e instanceof Error ? e.message : String(e) }),
    );
    return () => abort.abort();
  }, [from, to]);
  if (got.error !== undefined) {
    return (
      <p class="f-notice bad" role="alert">
        {`${c.diffFailed}: ${got.error}`}
      </p>
    );
  }
  if (!got.answer) {
    return (
      <p class="f-dim" aria-busy="true">
        {c.loading}
      </p>
    );
  }
  const { differences } = got.answer;
  if (differences.length === 0) return <p class="f-dim">{c.noDifference}</p>;
  return (
    <div class="mc-diff">
      <h4>{c.diffOf(from, to)}</h4>
      <ul>
        {differences.slice(0, most).map((d) => (
          <li key={d.pointer} class={`mc-${d.kind}`}>
            <div>
              <span class="mc-way">{Object.hasOwn(c.changes, d.kind) ? c.changes[d.kind] : d.kind}</span> <code>{placeOf(d.pointer)}</code>
            </div>
            {d.before !== "" && <pre class="mc-before" aria-label={c.before}>{pretty(d.before)}</pre>}
            {d.after !== "" && <pre class="mc-after" aria-label={c.after}>{pretty(d.after)}</pre>}
          </li>
        ))}
      </ul>
      {differences.length > most && <p class="f-dim">{c.moreDifferences(differences.length - most)}</p>}
    </div>
  );
}
