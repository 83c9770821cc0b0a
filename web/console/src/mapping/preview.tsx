// The page of a live instance beside what the edited document makes of it.
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { Instance } from "../api/types";
import { formatCount } from "./count";
import { doctorOf } from "../fleet/parts";
import { Time } from "../fleet/time";
import { t } from "../texts";
import { m } from "../texts/mapping";
import type { InstancePage } from "./instancepage";
import { isMapped, targetsOf } from "./previewlines";
import type { Answer, Preview } from "./previewasked";
import { Pane } from "./previewpane";
import { filtered, filters, pagesOf, type PageRow, type Pages, type Shown } from "./previewrows";

interface Props {
  instances: readonly Instance[] | undefined;
  chosen: Instance | undefined;
  choose(id: number): void;
  page: InstancePage;
  /** The last answer to the document. */
  answer: Answer | undefined;
  /** The last preview of this page, of a document without faults. */
  preview: Preview | undefined;
  /** The same page under the active mapping. */
  active: Answer | undefined;
  map(native: string): void;
  /** What became of the last "Map this". */
  said: string;
}

type Side = "native" | "unified";
const words = { mapped: "", unmapped: m.filters.unmapped, added: m.marks.added, removed: m.marks.removed, changed: m.marks.changed };

export function PreviewSection(props: Props) {
  const { instances, chosen, page, answer, preview, active } = props;
  const native = page.page && page.page.error === "" ? page.page.native : "";
  const activePreview = active?.kind === "page" ? active.preview : undefined;
  const shown = preview ?? (answer === undefined ? undefined : activePreview); // a document that had faults from the beginning
  const pages = useMemo(() => pagesOf(native, shown, activePreview, words), [native, shown, activePreview]);
  const failed = page.error ?? (page.page && page.page.error !== "" ? page.page.error : undefined);
  return (
    <section class="m-preview" aria-labelledby="m-preview-title" aria-busy={page.reading}>
      <div class="m-head">
        <h2 id="m-preview-title">{m.preview}</h2>
        {instances && instances.length > 0 && (
          <label class="f-choice">
            {m.instance}{" "}
            <select value={chosen?.id} onChange={(e) => props.choose(Number(e.currentTarget.value))}>
              {instances.map((i) => (
                <option key={i.id} value={i.id} selected={i.id === chosen?.id}>
                  {i.runtime === "" ? i.name : `${i.name} · ${i.runtime} ${i.runtime_version}`.trim()}
                </option>
              ))}
            </select>
          </label>
        )}
        {page.page && (
          <span class="f-dim">
            {page.page.runtime !== "" && `${page.page.runtime} ${page.page.runtime_version || m.versionUnknown}`}
            {page.page.fetched_at !== undefined && (
              <>
                {page.page.runtime !== "" && " · "}
                {m.read} <Time at={page.page.fetched_at} />
              </>
            )}
          </span>
        )}
        {chosen && (
          <button disabled={page.reading} onClick={page.again}>
            {m.readAgain}
          </button>
        )}
      </div>
      <p class="f-dim">{m.previewAbout}</p>
      {instances && instances.length === 0 && <p class="f-notice">{m.noInstances}</p>}
      {page.reading && !page.page && <p class="f-dim">{m.reading}</p>}
      {failed !== undefined && (
        <p class="f-notice bad" role="alert">
          {m.pageFailed}: {failed} {chosen && <a href={doctorOf({ instance: chosen.name })}>{t.shell.findOut}</a>}
        </p>
      )}
      {page.page?.truncated && <p class="f-notice">{m.pageCut}</p>}
      {native !== "" && (
        <>
          <Verdict answer={answer} preview={preview} active={active} pages={pages} />
          <Pages pages={pages} hasPreview={shown !== undefined} map={props.map} said={props.said} />
        </>
      )}
    </section>
  );
}

function Verdict({ answer, preview, active, pages }: { answer: Answer | undefined; preview: Preview | undefined; active: Answer | undefined; pages: Pages }) {
  const { difference: d } = pages;
  return (
    <div role="status">
      {answer?.kind === "faults" && <p class="f-notice">{preview ? m.old : m.activeInstead}</p>}
      {answer?.kind === "none" && (
        <p class="f-notice">
          {m.previewFailed}: {answer.why}
        </p>
      )}
      {answer?.kind === "failed" && (
        <p class="f-notice bad">
          {m.previewFailed}: {answer.why}
        </p>
      )}
      {active !== undefined && active.kind !== "page" && <p class="f-notice faint">{m.noActive}</p>}
      {preview && (
        <p class="m-counts">
          <span>{m.coverage(preview.coverage.families, preview.coverage.of)}</span>
          {d && <span class={d.removed > 0 ? "m-loss" : ""}>{d.added + d.removed + d.changed === 0 ? m.sameAsActive : m.counts(formatCount(d.added), formatCount(d.removed), formatCount(d.changed))}</span>}
        </p>
      )}
    </div>
  );
}

interface Chosen {
  side: Side;
  key: string;
}

function Pages({ pages, hasPreview, map, said }: { pages: Pages; hasPreview: boolean; map(native: string): void; said: string }) {
  const [shown, setShown] = useState<Shown>("all");
  const [search, setSearch] = useState("");
  const [tab, setTab] = useState<Side>("native");
  const [chosen, setChosen] = useState<Chosen>();
  const [pointed, setPointed] = useState<{ side: Side; index: number }>();
  const [reveal, setReveal] = useState({ side: "native" as Side, index: -1, count: 0 });
  const rows = useMemo(() => filtered(pages, shown, search), [pages, shown, search]);
  const indexes = useMemo(() => {
    const at = (side: Side) => (chosen?.side === side ? rows[side].findIndex((r) => r.key === chosen.key) : -1);
    return { native: at("native"), unified: at("unified") };
  }, [rows, chosen]);
  const chosenRow = chosen && rows[chosen.side][indexes[chosen.side]];
  const pointedRow = pointed && rows[pointed.side][pointed.index];
  const subject: { side: Side; row: PageRow } | undefined = pointed && pointedRow ? { side: pointed.side, row: pointedRow } : chosen && chosenRow ? { side: chosen.side, row: chosenRow } : undefined;
  const related = useMemo(() => relatedTo(pages, subject?.side, subject?.row.owner), [pages, subject?.side, subject?.row.owner]);
  const choose = (side: Side) => (index: number) => {
    const row = rows[side][index];
    if (!row) return;
    setChosen({ side, key: row.key });
    setPointed(undefined);
    const other: Side = side === "native" ? "unified" : "native";
    const owners = relatedTo(pages, side, row.owner)[other];
    const first = rows[other].findIndex((r) => r.owner !== undefined && owners.has(r.owner));
    if (first >= 0) setReveal((before) => ({ side: other, index: first, count: before.count + 1 }));
  };
  const enter = (index: number) => {
    const owner = rows.native[index]?.owner;
    if (owner !== undefined && !isMapped(pages.links.reports.get(owner))) map(owner);
  };
  const last = useRef({ native: { index: -1, count: 0 }, unified: { index: -1, count: 0 } });
  if (reveal.count > 0) last.current[reveal.side] = reveal;
  const pane = (side: Side, label: string) =>
    rows[side].length === 0 ? (
      <p class="m-pane m-empty f-dim">{side === "unified" && !hasPreview ? m.noPreview : m.noLines}</p>
    ) : (
      <Pane
        id={`m-${side}`}
        label={label}
        rows={rows[side]}
        filter={`${shown} ${search}`}
        chosen={indexes[side]}
        isRelated={(index) => {
          const owner = rows[side][index]?.owner;
          return owner !== undefined && related[side].has(owner);
        }}
        reveal={last.current[side]}
        choose={choose(side)}
        point={(index) => setPointed((before) => (before?.side === side && before.index === index ? before : index === undefined ? undefined : { side, index }))}
        enter={side === "native" ? enter : () => undefined}
      />
    );
  return (
    <>
      <div class="m-tools">
        <div class="f-chips" role="group" aria-label={m.show} title={m.filterWhy}>
          {filters.map((name) => (
            <button key={name} class="f-chip" aria-pressed={shown === name} onClick={() => setShown(name)}>
              {m.filters[name]}
            </button>
          ))}
        </div>
        <input type="search" value={search} placeholder={m.search} aria-label={m.search} onInput={(e) => setSearch(e.currentTarget.value)} />
        <div class="m-tabs" role="group" aria-label={m.panes}>
          {(["native", "unified"] as const).map((side) => (
            <button key={side} class="f-chip" aria-pressed={tab === side} onClick={() => setTab(side)}>
              {m.short[side]}
            </button>
          ))}
        </div>
      </div>
      <Detail pages={pages} subject={subject} hasPreview={hasPreview} map={map} />
      <div class={`m-panes show-${tab}`}>
        <div class="m-side native">
          <h3>
            {m.native} <span class="f-dim">{m.lines(formatCount(rows.native.length))}</span>
          </h3>
          {pane("native", m.native)}
        </div>
        <div class="m-side unified">
          <h3>
            {m.unified} <span class="f-dim">{m.lines(formatCount(rows.unified.length))}</span>
          </h3>
          {pane("unified", m.unified)}
        </div>
      </div>
      <p class="m-said" role="status">
        {said}
      </p>
    </>
  );
}

/** The metrics on both sides that belong to one metric. */
function relatedTo(pages: Pages, side: Side | undefined, owner: string | undefined): Record<Side, ReadonlySet<string>> {
  if (side === undefined || owner === undefined) return { native: new Set(), unified: new Set() };
  if (side === "native") return { native: new Set([owner]), unified: new Set(targetsOf(pages.links.reports.get(owner))) };
  return { native: new Set(pages.links.from.get(owner)), unified: new Set([owner]) };
}

/** Of one height, so that the pages stay where they are. It scrolls, so the keyboard reaches it. */
function Told({ children }: { children: ComponentChildren }) {
  return (
    <div class="m-detail" tabIndex={0} role="region" aria-label={m.whereTo}>
      {children}
    </div>
  );
}

function Detail({ pages, subject, hasPreview, map }: { pages: Pages; subject: { side: Side; row: PageRow } | undefined; hasPreview: boolean; map(native: string): void }) {
  if (!subject) return <Told>{m.point}</Told>;
  const { side, row } = subject;
  if (row.owner === undefined) return <Told>{row.text.startsWith("#") ? m.comment : hasPreview ? m.noReport : m.noPreview}</Told>;
  if (side === "unified") {
    const natives = pages.links.from.get(row.owner) ?? [];
    return (
      <Told>
        <code>{row.owner}</code>{" "}
        {row.line?.mark !== "removed" &&
          (natives.length === 0 ? (
            <span class="f-dim">{m.fromNothing}</span>
          ) : (
            <>
              {m.from} {natives.map((n, i) => [i > 0 ? ", " : "", <code key={n}>{n}</code>])}
            </>
          ))}
        {row.line?.mark === "removed" && <p>{m.removedLine}</p>}
        {row.line?.mark === "added" && <p>{m.addedLine}</p>}
        {row.line?.before !== undefined && <p>{m.was(row.line.before)}</p>}
      </Told>
    );
  }
  const report = pages.links.reports.get(row.owner)!;
  return (
    <Told>
      <code>{report.name}</code>{" "}
      <span class="f-dim">
        {report.type} {m.samples(report.samples)}
      </span>
      {!isMapped(report) && (
        <button class="m-map" title={m.mapThisWhy} onClick={() => map(report.name)}>
          {m.mapThis}
        </button>
      )}
      {report.outcomes.map((o) => (
        <p key={o.family}>
          {m.becomes} <code class={o.samples > 0 ? "" : "f-dim"}>{o.family}</code> <span class="f-dim">{m.samples(o.samples)}</span>
          {o.why !== "" && ` – ${o.why}`}
        </p>
      ))}
      {report.why !== "" && <p>{report.why}</p>}
    </Told>
  );
}
