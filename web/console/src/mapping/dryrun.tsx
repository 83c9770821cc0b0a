// What a mapping would change at all live instances, as a table.
import type { ComponentChildren } from "preact";
import { useId, useMemo, useState } from "preact/hooks";
import type { DryRun, DryRunPage, InstanceDryRun, Vanishing } from "../api/mapping";
import { c } from "../texts/mappingchange";
import { changeOf, dryColumns, lossOf, rowsOf, sortDryRows, sortSeries, wasRead, type DryColumn, type DryRow } from "./dryrows";

const mostRows = 500;
const mostMetrics = 200;

export function DryRunTable({ run }: { run: DryRun }) {
  const [by, setBy] = useState<DryColumn>("removed");
  const rows = useMemo(() => rowsOf(run), [run]);
  const sorted = useMemo(() => sortDryRows(rows, by), [rows, by]);
  if (rows.length === 0) return <p class="f-dim">{c.noInstances}</p>;
  const columns: [string, string, DryColumn?][] = [
    ["instance", c.instance, "instance"],
    ["worker", c.worker, "worker"],
    ["runtime", c.runtime],
    ["version", c.version],
    ["coverage", c.coverage],
    ["series", c.series],
    ["added", c.added, "added"],
    ["removed", c.removed, "removed"],
    ["changed", c.changed, "changed"],
  ];
  return (
    <div class="f-table-box mc-dry" tabIndex={0} role="region" aria-label={c.dryRun}>
      <table class="f-list">
        <thead>
          <tr>
            {columns.map(([name, title, sort]) => (
              <th key={name} scope="col" class={numeric(name)} aria-sort={sort === by ? (dryColumns.indexOf(by) < 2 ? "ascending" : "descending") : undefined}>
                {sort ? (
                  <button type="button" aria-label={c.sortBy(title)} onClick={() => setBy(sort)}>
                    {title}
                    <span aria-hidden="true">{sort !== by ? "" : dryColumns.indexOf(by) < 2 ? " ↑" : " ↓"}</span>
                  </button>
                ) : (
                  title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, mostRows).map((row) => (wasRead(row) ? <Tried key={row.key} row={row} instance={row.instance!} /> : <NotTried key={row.key} row={row} />))}
        </tbody>
      </table>
    </div>
  );
}

function numeric(name: string): string | undefined {
  return ["coverage", "series", "added", "removed", "changed"].includes(name) ? "number" : undefined;
}

function Tried({ row, instance }: { row: DryRow; instance: InstanceDryRun }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <>
      <tr class={instance.removed > 0 ? "f-sick" : ""}>
        <th scope="row">
          <button type="button" class="mc-open" aria-expanded={open} aria-controls={id} aria-label={c.show(instance.name)} onClick={() => setOpen(!open)}>
            <span class="mc-arrow" aria-hidden="true" />
            {instance.name}
          </button>
        </th>
        <Cell title={c.worker}>{row.worker.worker_name}</Cell>
        <Cell title={c.runtime}>{instance.runtime || c.none}</Cell>
        <Cell title={c.version}>{instance.runtime_version || c.none}</Cell>
        <Cell title={c.coverage} number>
          <FromTo before={coverage(instance.before)} after={coverage(instance.after)} />
        </Cell>
        <Cell title={c.series} number>
          <FromTo before={instance.before && String(instance.before.series)} after={instance.after && String(instance.after.series)} />
        </Cell>
        <Cell title={c.added} number>
          {instance.added}
        </Cell>
        <Cell title={c.removed} number>
          {instance.removed > 0 ? <b class="f-wrong">{instance.removed}</b> : 0}
        </Cell>
        <Cell title={c.changed} number>
          {instance.changed}
        </Cell>
      </tr>
      {open && (
        <tr id={id} class="mc-inside">
          <td colSpan={9}>
            <Inside instance={instance} />
          </td>
        </tr>
      )}
    </>
  );
}

function NotTried({ row }: { row: DryRow }) {
  const why = row.instance ? c.notRead(row.instance.error) : [c.workerStates[row.worker.state] ?? row.worker.state, row.worker.detail].filter(Boolean).join(": ");
  return (
    <tr class="f-sick tone-warn">
      <th scope="row">{row.instance?.name ?? c.none}</th>
      <Cell title={c.worker}>{row.worker.worker_name}</Cell>
      <td colSpan={7} class="mc-why">
        <div>{why}</div>
      </td>
    </tr>
  );
}

function Cell({ title, number, children }: { title: string; number?: boolean; children: ComponentChildren }) {
  return (
    <td class={number ? "number" : undefined} data-title={title}>
      <div>{children}</div>
    </td>
  );
}

function coverage(page: DryRunPage | undefined): string | undefined {
  return page?.coverage && `${page.coverage.families}/${page.coverage.of}`;
}

function FromTo({ before, after }: { before: string | undefined; after: string | undefined }) {
  if (before === after) return <>{before ?? c.none}</>;
  return <>{c.fromTo(before ?? c.none, after ?? c.none)}</>;
}

/** Metrics and series of an instance that would change. */
function Inside({ instance }: { instance: InstanceDryRun }) {
  const series = useMemo(() => sortSeries(instance.series), [instance]);
  const notes = instance.families.filter((f) => f.type || f.help);
  if (series.length === 0 && notes.length === 0) return <p class="f-dim">{c.noSeries}</p>;
  return (
    <>
      {notes.length > 0 && (
        <ul class="mc-notes">
          {notes.map((f) => (
            <li key={f.name}>
              <code>{f.name}</code>: {[f.type && c.typeChanges(f.type.before, f.type.after), f.help && c.helpChanges].filter(Boolean).join(", ")}
            </li>
          ))}
        </ul>
      )}
      <ul class="mc-series">
        {series.map((s) => {
          const way = changeOf(s);
          return (
            <li key={s.series} class={`mc-${way}`}>
              <span class="mc-way">{c.changes[way]}</span> <code>{s.series}</code>{" "}
              <span class="f-dim">{way === "changed" ? c.fromTo(s.before!, s.after!) : (s.before ?? s.after)}</span>
            </li>
          );
        })}
      </ul>
      {instance.series_left_out > 0 && <p class="f-dim">{c.moreSeries(instance.series_left_out)}</p>}
    </>
  );
}

/** What would vanish, in words; nothing if nothing does. whole: the document takes the place of the built-in one. */
export function Loss({ run, whole }: { run: DryRun; whole: boolean }) {
  const loss = lossOf(run);
  const v = run.vanishing;
  return (
    <>
      {(loss.series > 0 || loss.metrics > 0) && (
        <div class="f-callout tone-bad mc-loss" role="alert">
          <p>
            <strong>{lossInWords(loss.series, loss.metrics)}</strong>
          </p>
          {whole && <p class="f-dim">{c.vanishHow}</p>}
          {v && v.metrics.length > 0 && <VanishingMetrics of={v} />}
        </div>
      )}
      {v && v.unknown.length > 0 && (
        <details class="mc-unknown">
          <summary>{c.notKnown(v.unknown.length)}</summary>
          <ul>
            {v.unknown.map((u) => (
              <li key={u}>{u}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

export function lossInWords(series: number, metrics: number): string {
  return [series > 0 ? c.vanish(series) : "", metrics > 0 ? c.vanishMetrics(metrics) : ""].filter(Boolean).join(" · ");
}

function VanishingMetrics({ of }: { of: Vanishing }) {
  return (
    <details>
      <summary>{c.whichMetrics}</summary>
      <ul class="mc-metrics">
        {of.metrics.slice(0, mostMetrics).map((m) => (
          <li key={m.metric}>
            <code>{m.metric}</code> <span class="f-dim">{m.runtimes.join(", ")}</span>
          </li>
        ))}
      </ul>
      {of.metrics.length > mostMetrics && <p class="f-dim">{c.moreMetrics(of.metrics.length - mostMetrics)}</p>}
    </details>
  );
}
