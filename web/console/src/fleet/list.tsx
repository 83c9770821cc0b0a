// A list with search, filters, counts of states, an order and pages, all of which live in the URL.
import "./fleet.css";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Listed } from "../api/lists";
import { setQuery, type Place } from "../router";
import { l } from "../texts/lists";
import { choices, countStates, filtersOf, inStates, matching, nextSort, pageOf, perPage, setFilter, sortRows, toggleState, type Row, type Sortable } from "./filters";
import { MetricsNotice, Notices, State } from "./parts";
import { isProblem, tone } from "./states";

export interface Column<R> {
  name: string;
  title: string;
  about?: string;
  cell(row: R): ComponentChildren;
  /** What the column is sorted by; absent: it isn't. */
  value?: (row: R) => Sortable;
  /** The first click sorts the highest first. */
  highestFirst?: boolean;
  kind?: "number" | "wide" | "head" | "plain";
  /** The column is left out where no row has a value. */
  ifAny?: boolean;
}

interface ListProps<R extends Row> {
  place: Place;
  title: string;
  rows: readonly R[] | undefined;
  columns: readonly Column<R>[];
  filters: readonly ("cluster" | "worker" | "model")[];
  lists: readonly Listed<unknown>[];
  metricsError: Error | undefined;
  empty: ComponentChildren;
  notes?: ComponentChildren;
}

export function List<R extends Row>({ place, title, rows, columns, filters: offered, lists, metricsError, empty, notes }: ListProps<R>) {
  const filters = useMemo(() => filtersOf(place.query), [place.query.toString()]);
  const column = columns.find((c) => c.name === filters.sort && c.value);
  const found = useMemo(() => (rows ? matching(rows, filters) : []), [rows, filters]);
  const counts = useMemo(() => countStates(found, filters.states), [found, filters]);
  const sorted = useMemo(() => sortRows(inStates(found, filters.states), column?.value, filters.descending), [found, filters, column]);
  const { rows: shown, page, pages } = useMemo(() => pageOf(sorted, filters.page), [sorted, filters.page]);
  // The same element is not drawn again: a report of a worker changes nothing here.
  const table = useMemo(
    () => (
      <Table
        title={title}
        rows={shown}
        columns={columns}
        sorted={column && { name: column.name, descending: filters.descending }}
        sort={(c) => setQuery((q) => setFilter(q, "sort", nextSort(filters, c.name, c.highestFirst ?? false)), true)}
      />
    ),
    [title, shown, columns, column, filters],
  );
  useEffect(() => {
    document.title = `${title} · stackscope`;
  }, [title]);
  const filtered = filters.q !== "" || filters.states.length > 0 || filters.cluster !== "" || filters.worker !== "" || filters.model !== "";
  const problems = rows?.filter((r) => isProblem(r.state)).length ?? 0;
  return (
    <div class="list-page">
      <div class="f-list-head">
        <h1>
          {title} {rows && <span class="f-count">{rows.length}</span>}
        </h1>
        {problems > 0 && <span class="f-problems">{l.problems(problems)}</span>}
      </div>
      <Notices of={lists} />
      {rows && rows.length > 0 && <MetricsNotice error={metricsError} />}
      {notes}
      {!rows ? (
        lists.some((x) => x.error) ? null : <p class="f-dim">{l.loading}</p>
      ) : rows.length === 0 ? (
        lists.some((x) => x.older) ? null : empty
      ) : (
        <>
          <div class="f-filters" role="search">
            <Search text={filters.q} what={title} />
            {offered.map((name) => (
              <Choice key={name} name={name} now={filters[name]} values={choices(rows, name)} />
            ))}
            <div class="f-chips" role="group" aria-label={l.states}>
              {counts.map(([state, n]) => (
                <button
                  key={state}
                  class={`f-chip tone-${tone(state)}`}
                  aria-pressed={filters.states.includes(state)}
                  onClick={() => setQuery((q) => toggleState(q, state), true)}
                >
                  <State state={state} /> {n}
                </button>
              ))}
            </div>
            {filtered && (
              <button class="f-clear" onClick={() => setQuery((q) => ["q", "state", "cluster", "worker", "model", "page"].forEach((n) => q.delete(n)))}>
                {l.clear}
              </button>
            )}
          </div>
          {sorted.length === 0 ? (
            <p class="f-dim">{l.nothingMatches}</p>
          ) : (
            table
          )}
          {sorted.length > perPage && <Pager page={page} pages={pages} of={sorted.length} />}
        </>
      )}
    </div>
  );
}

interface TableProps<R extends Row> {
  title: string;
  rows: readonly R[];
  columns: readonly Column<R>[];
  sorted?: { name: string; descending: boolean } | undefined;
  /** Absent: the rows are few and have an order of their own. */
  sort?: (column: Column<R>) => void;
}

export function Table<R extends Row>({ title, rows, columns: all, sorted, sort }: TableProps<R>) {
  const columns = all.filter((c) => !c.ifAny || rows.some((r) => c.value?.(r) !== undefined));
  return (
    <div class="f-table-box" tabIndex={0} role="region" aria-label={title}>
      <table class="f-list">
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.name} scope="col" class={c.kind} aria-sort={sorted?.name === c.name ? (sorted.descending ? "descending" : "ascending") : undefined} title={c.about}>
                {c.value && sort ? (
                  <button onClick={() => sort(c)} aria-label={l.sortBy(c.title)}>
                    {c.title}
                    <span aria-hidden="true">{sorted?.name !== c.name ? "" : sorted.descending ? " ↓" : " ↑"}</span>
                  </button>
                ) : (
                  c.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key} class={isProblem(row.state) ? `f-sick tone-${tone(row.state)}` : ""}>
              {columns.map((c) =>
                c.kind === "head" ? (
                  <th key={c.name} scope="row">
                    {c.cell(row)}
                  </th>
                ) : (
                  <td key={c.name} class={c.kind} data-title={c.title}>
                    <div>{c.cell(row)}</div>
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The search writes to the URL a moment after the last key. */
function Search({ text, what }: { text: string; what: string }) {
  const [now, set] = useState(text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const written = useRef(text);
  useEffect(() => {
    if (text !== written.current) set(text);
    written.current = text;
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const input = (value: string) => {
    set(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      written.current = value.trim();
      setQuery((q) => setFilter(q, "q", value.trim()), true);
    }, 150);
  };
  return <input type="search" value={now} placeholder={l.search} aria-label={l.searchIn(what)} onInput={(e) => input(e.currentTarget.value)} />;
}

const labels = { cluster: l.cluster, worker: l.worker, model: l.model };

function Choice({ name, now, values }: { name: "cluster" | "worker" | "model"; now: string; values: readonly string[] }) {
  if (values.length < 2 && now === "") return null;
  const all = now !== "" && !values.includes(now) ? [now, ...values] : values;
  return (
    <label class="f-choice">
      {labels[name]}
      <select value={now} onChange={(e) => setQuery((q) => setFilter(q, name, e.currentTarget.value), true)}>
        <option value="">{l.all}</option>
        {all.map((v) => (
          <option key={v} value={v}>
            {v}
          </option>
        ))}
      </select>
    </label>
  );
}

function Pager({ page, pages, of }: { page: number; pages: number; of: number }) {
  const to = (n: number) => setQuery((q) => (n === 1 ? q.delete("page") : q.set("page", String(n))));
  return (
    <nav class="f-pager" aria-label={l.pagesOf}>
      <button disabled={page === 1} onClick={() => to(page - 1)}>
        {l.previous}
      </button>
      <span>{l.shown((page - 1) * perPage + 1, Math.min(page * perPage, of), of)}</span>
      <button disabled={page === pages} onClick={() => to(page + 1)}>
        {l.next}
      </button>
    </nav>
  );
}
