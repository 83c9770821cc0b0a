// An instance's own metrics page, beside what became of each metric.
import { useEffect, useRef, useState } from "preact/hooks";
import { json, RequestError } from "../api/request";
import { page as check, type NativeReport, type Page } from "../api/types";
import { format } from "../format";
import { l } from "../texts/lists";
import { reportsOf, summary, type Shown } from "./pagereport";
import { Time } from "./time";

interface Read {
  page?: Page;
  error?: Error;
  reading: boolean;
}

export function NativePage({ id }: { id: number }) {
  const [{ page, error, reading }, set] = useState<Read>({ reading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    set((before) => ({ ...before, reading: true }));
    json(`/v2/model-instances/${id}/page`, check, { signal: abort.signal }).then(
      (got) => set({ page: got, reading: false }),
      (e: unknown) => abort.signal.aborted || set({ error: e instanceof Error ? e : new Error(String(e)), reading: false }),
    );
    return () => abort.abort();
  }, [id, round]);
  const older = error instanceof RequestError && error.status === 404;
  return (
    <section aria-busy={reading}>
      <div class="f-section-head">
        <h2>{l.ownPage}</h2>
        {page?.fetched_at !== undefined && (
          <span class="f-dim">
            {l.fetched} <Time at={page.fetched_at} />
          </span>
        )}
        {!older && (
          <button disabled={reading} onClick={() => setRound(round + 1)}>
            {l.readAgain}
          </button>
        )}
      </div>
      <p class="f-dim">{reading && !page ? l.reading : l.ownPageAbout}</p>
      {older ? <p class="f-notice">{l.pageOlder}</p> : error && <p class="f-notice bad" role="alert">{error.message}</p>}
      {page && <Shows page={page} />}
    </section>
  );
}

type Tab = "metrics" | "native" | "unified";
const tabs: [Tab, string][] = [
  ["metrics", l.tabMetrics],
  ["native", l.tabNative],
  ["unified", l.tabUnified],
];

function Shows({ page }: { page: Page }) {
  const [tab, setTab] = useState<Tab>("metrics");
  const bar = useRef<HTMLDivElement>(null);
  const { metrics, mapped, unmapped, unreadable } = summary(page);
  if (page.error !== "" && page.metrics.length === 0) {
    return (
      <>
        <p class="f-notice bad">{page.error}</p>
        {page.native !== "" && (
          <>
            <p>{l.gotInstead}</p>
            <Raw text={page.native} label={l.tabNative} />
          </>
        )}
      </>
    );
  }
  const move = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const at = (tabs.findIndex(([name]) => name === tab) + by + tabs.length) % tabs.length;
    setTab(tabs[at]![0]);
    (bar.current?.children[at] as HTMLElement | undefined)?.focus();
  };
  return (
    <>
      {page.error !== "" && <p class="f-notice bad">{page.error}</p>}
      <p class="f-page-summary">
        {page.coverage && page.coverage.of > 0 && (
          <span title={l.coverageAbout}>
            {l.coverage} <b>{l.coverageOf(page.coverage.families, page.coverage.of)}</b>
          </span>
        )}
        <span>
          <b>{metrics}</b> {l.nativeMetrics}
        </span>
        <span>
          <b>{mapped}</b> {l.mappedMetrics}
        </span>
        <span>
          <b>{unmapped}</b> {l.unmappedMetrics}
        </span>
        {unreadable > 0 && <span>{l.unreadable(unreadable)}</span>}
        <span class="f-dim">{l.bytes(format(page.bytes, "bytes", 0))}</span>
        {page.content_type !== "" && <span class="f-dim">{page.content_type}</span>}
      </p>
      <div class="f-tabs" role="tablist" aria-label={l.pageViews} ref={bar} onKeyDown={move}>
        {tabs.map(([name, title]) => (
          <button key={name} id={`tab-${name}`} role="tab" aria-selected={tab === name} aria-controls="tab-panel" tabIndex={tab === name ? 0 : -1} onClick={() => setTab(name)}>
            {title}
          </button>
        ))}
      </div>
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        {tab === "metrics" && <Metrics page={page} />}
        {tab === "native" && (
          <>
            {page.truncated && <p class="f-notice">{l.truncated(format(page.native.length, "bytes", 0), format(page.bytes, "bytes", 0))}</p>}
            <Raw text={page.native} label={l.tabNative} />
          </>
        )}
        {tab === "unified" && (
          <>
            {page.unified_truncated && <p class="f-notice">{l.unifiedCut}</p>}
            <Raw text={page.unified} label={l.tabUnified} />
          </>
        )}
      </div>
    </>
  );
}

function Raw({ text, label }: { text: string; label: string }) {
  if (text === "") return <p class="f-dim">{l.emptyText}</p>;
  return (
    <pre class="f-raw" tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}

const mostRows = 500;

function Metrics({ page }: { page: Page }) {
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<Shown>("all");
  const reports = reportsOf(page, shown, search);
  return (
    <>
      <div class="f-filters">
        <input type="search" value={search} placeholder={l.search} aria-label={l.searchMetrics} onInput={(e) => setSearch(e.currentTarget.value)} />
        <label class="f-choice">
          {l.show}
          <select value={shown} onChange={(e) => setShown(e.currentTarget.value as Shown)}>
            <option value="all">{l.showAll}</option>
            <option value="mapped">{l.showMapped}</option>
            <option value="unmapped">{l.showUnmapped}</option>
          </select>
        </label>
      </div>
      {reports.length === 0 ? (
        <p class="f-dim">{l.nothingMatches}</p>
      ) : (
        <div class="f-table-box f-tall" tabIndex={0} role="region" aria-label={l.ownPage}>
          <table class="f-metrics">
            <thead>
              <tr>
                <th scope="col">{l.nativeMetric}</th>
                <th scope="col">{l.type}</th>
                <th scope="col" class="number">
                  {l.samples}
                </th>
                <th scope="col">{l.becomes}</th>
              </tr>
            </thead>
            <tbody>
              {reports.slice(0, mostRows).map((r, i) => (
                <tr key={`${i} ${r.name}`}>
                  <td>
                    <code>{r.name}</code>
                  </td>
                  <td class="f-dim">{r.type}</td>
                  <td class="number">
                    {r.samples}
                    {r.unreadable > 0 && <div class="f-wrong">{l.unreadable(r.unreadable)}</div>}
                  </td>
                  <td>
                    <Becomes report={r} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {reports.length > mostRows && <p class="f-dim">{l.moreMetrics(reports.length - mostRows)}</p>}
      {page.metrics_left_out > 0 && <p class="f-dim">{l.metricsLeftOut(page.metrics_left_out)}</p>}
    </>
  );
}

function Becomes({ report }: { report: NativeReport }) {
  if (report.outcomes.length === 0) return <span class="f-dim">{report.why || l.unmapped}</span>;
  return (
    <>
      {report.outcomes.map((o) => (
        <div key={o.family}>
          <code class={o.samples > 0 ? "" : "f-dim"}>{l.asSamples(o.family, o.samples)}</code>
          {o.why !== "" && <span class="f-dim"> {o.why}</span>}
        </div>
      ))}
    </>
  );
}
