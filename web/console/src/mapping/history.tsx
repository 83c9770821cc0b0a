// The generations of the mapping: who activated what, when and why.
import "../fleet/fleet.css";
import "./change.css";
import { useEffect, useState } from "preact/hooks";
import { generations, type Generation, type Generations } from "../api/mapping";
import { failure, json, request, RequestError } from "../api/request";
import { Time } from "../fleet/time";
import { c } from "../texts/mappingchange";
import { Change } from "./change";
import { Diff } from "./diff";

const perPage = 25;

interface HistoryProps {
  /** The active generation: the list is read again when it changes. */
  active: number;
  /** Takes a generation's document into the editor. */
  onLoad(yaml: string, generation: number): void;
  /** A generation was restored; the number of the new one. */
  onApplied?(generation: number): void;
}

export function History({ active, onLoad, onApplied }: HistoryProps) {
  const [page, setPage] = useState(1);
  const [got, set] = useState<{ list?: Generations; error?: Error }>({});
  const [restored, setRestored] = useState(active);
  useEffect(() => setRestored(active), [active]);
  useEffect(() => {
    const abort = new AbortController();
    json(`/v2/metrics/config/generations?page=${page}&perPage=${perPage}`, generations, { signal: abort.signal }).then(
      (list) => set({ list }),
      (e: unknown) => abort.signal.aborted || set((before) => ({ ...before, error: e instanceof Error ? e : new Error(String(e)) })),
    );
    return () => abort.abort();
  }, [page, restored]);
  const older = got.error instanceof RequestError && got.error.status === 404;
  const pages = got.list?.pagination?.totalPage ?? 1;
  const now = got.list?.items.find((g) => g.active)?.generation ?? restored;
  return (
    <section class="mc-history" aria-labelledby="mc-history" aria-busy={!got.list && !got.error}>
      <h2 id="mc-history">{c.history}</h2>
      <p class="f-dim">{c.historyAbout}</p>
      {got.error && (
        <p class="f-notice bad" role="alert">
          {older ? c.older : `${c.listFailed}: ${got.error.message}`}
        </p>
      )}
      {!got.list && !got.error && <p class="f-dim">{c.loading}</p>}
      {got.list && (
        <ol class="mc-generations">
          {got.list.items.map((g, i) => (
            <Row
              key={g.generation}
              of={g}
              before={got.list!.items[i + 1]?.generation ?? (g.generation > 0 ? g.generation - 1 : undefined)}
              active={now}
              onLoad={onLoad}
              onApplied={(n) => {
                setRestored(n);
                onApplied?.(n);
              }}
            />
          ))}
        </ol>
      )}
      {pages > 1 && (
        <nav class="f-pager" aria-label={c.history}>
          <button type="button" disabled={page <= 1} onClick={() => setPage(page - 1)}>
            {c.previous}
          </button>
          <span>{c.pageOf(page, pages)}</span>
          <button type="button" disabled={page >= pages} onClick={() => setPage(page + 1)}>
            {c.next}
          </button>
        </nav>
      )}
    </section>
  );
}

interface RowProps {
  of: Generation;
  /** The generation before it. */
  before: number | undefined;
  active: number;
  onLoad(yaml: string, generation: number): void;
  onApplied(generation: number): void;
}

function Row({ of: g, before, active, onLoad, onApplied }: RowProps) {
  const [open, setOpen] = useState(false);
  const id = `mc-generation-${g.generation}`;
  return (
    <li class={g.active ? "mc-active" : ""}>
      <h3>
        <button type="button" class="mc-open" aria-expanded={open} aria-controls={id} aria-label={c.open(g.generation)} title={c.generation(g.generation)} onClick={() => setOpen(!open)}>
          <span class="mc-arrow" aria-hidden="true" />
          <b>{g.generation}</b>
        </button>
        {g.active && <span class="f-state tone-good">{c.active}</span>}
        {g.at !== undefined && (
          <span class="f-dim">
            <Time at={g.at} />
          </span>
        )}
        {g.author !== "" && <span>{g.author}</span>}
        <span class="mc-what">{whatOf(g)}</span>
      </h3>
      {g.comment !== "" && <p class="mc-comment">{g.comment}</p>}
      {g.problem !== "" && <p class="f-wrong">{c.problem(g.problem)}</p>}
      {open && (
        <div id={id} class="mc-opened">
          <Opened of={g} before={before} active={active} onLoad={onLoad} onApplied={onApplied} />
        </div>
      )}
    </li>
  );
}

function whatOf(g: Generation): string {
  const kind = g.default ? c.builtIn : g.extends !== "" ? c.overlay : c.whole;
  return [g.restored_from === undefined || g.default ? kind : c.restored(g.restored_from), g.metrics > 0 ? c.hasMetrics(g.metrics) : ""].filter(Boolean).join(" · ");
}

type View = "document" | "active" | "before";

function Opened({ of: g, before, active, onLoad, onApplied }: RowProps) {
  const [view, setView] = useState<View>("document");
  const [restoring, setRestoring] = useState(false);
  const [got, set] = useState<{ yaml?: string; error?: string }>({});
  useEffect(() => {
    const abort = new AbortController();
    documentOf(g.generation, abort.signal).then(
      (yaml) => set({ yaml }),
      (e: unknown) => abort.signal.aborted || set({ error: e instanceof Error ? e.message : String(e) }),
    );
    return () => abort.abort();
  }, [g.generation]);
  const views: [View, string][] = [["document", c.document]];
  if (g.generation !== active) views.push(["active", c.toActive]);
  if (before !== undefined && before !== active) views.push(["before", c.toBefore]);
  const shown = views.some(([name]) => name === view) ? view : "document";
  return (
    <>
      <p class="mc-buttons">
        {views.map(([name, title]) => (
          <button key={name} type="button" aria-pressed={shown === name} onClick={() => setView(name)}>
            {title}
          </button>
        ))}
        <span class="mc-gap" />
        <button type="button" disabled={got.yaml === undefined} onClick={() => got.yaml !== undefined && onLoad(got.yaml, g.generation)}>
          {c.load}
        </button>
        {g.generation === active ? (
          <span class="f-dim">{c.isActive}</span>
        ) : (
          <button type="button" aria-expanded={restoring} disabled={g.problem !== ""} onClick={() => setRestoring(!restoring)}>
            {c.restore}
          </button>
        )}
      </p>
      {restoring && <Change document="" base={active} restore={g.generation} onApplied={onApplied} onClose={() => setRestoring(false)} />}
      {got.error !== undefined && (
        <p class="f-notice bad" role="alert">
          {got.error}
        </p>
      )}
      {shown === "document" && (got.yaml === undefined ? got.error === undefined && <p class="f-dim">{c.loading}</p> : <Text text={got.yaml} label={c.open(g.generation)} />)}
      {shown === "active" && <Diff from={g.generation} to={active} />}
      {shown === "before" && <Diff from={before!} to={g.generation} />}
    </>
  );
}

function Text({ text, label }: { text: string; label: string }) {
  return (
    <pre class="f-raw" tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}

/** A generation's document as it was posted, as YAML. */
async function documentOf(generation: number, signal: AbortSignal): Promise<string> {
  const response = await request(`/v2/metrics/config/generations/${generation}`, { headers: { Accept: "application/yaml" }, signal });
  if (!response.ok) throw await failure(response);
  return response.text();
}
