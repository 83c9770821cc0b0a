// Filters, order and page of a list, which live in the URL.
import { rank } from "./states";

/** What a list needs to know of a row. */
export interface Row {
  key: string;
  state: string;
  /** Texts that the search looks in. */
  search: readonly string[];
  /** Values of the filters cluster, worker and model. */
  cluster?: string;
  worker?: string;
  model?: string;
}

interface Filters {
  q: string;
  /** Empty: every state. */
  states: readonly string[];
  cluster: string;
  worker: string;
  model: string;
  /** A column; empty: problems first. */
  sort: string;
  descending: boolean;
  /** From 1. */
  page: number;
}

export const perPage = 100;

export function filtersOf(query: URLSearchParams): Filters {
  const sort = query.get("sort") ?? "";
  const page = Number(query.get("page") ?? "1");
  return {
    q: query.get("q") ?? "",
    states: query.getAll("state").filter((s) => s !== ""),
    cluster: query.get("cluster") ?? "",
    worker: query.get("worker") ?? "",
    model: query.get("model") ?? "",
    sort: sort.replace(/^-/, ""),
    descending: sort.startsWith("-"),
    page: Number.isInteger(page) && page > 0 ? page : 1,
  };
}

/** Sets or removes a filter; the list begins again at its first page. */
export function setFilter(query: URLSearchParams, name: "q" | "cluster" | "worker" | "model" | "sort", value: string): void {
  if (value === "") query.delete(name);
  else query.set(name, value);
  query.delete("page");
}

export function toggleState(query: URLSearchParams, state: string): void {
  const chosen = query.getAll("state");
  query.delete("state");
  for (const s of chosen) if (s !== state) query.append("state", s);
  if (!chosen.includes(state)) query.append("state", state);
  query.delete("page");
}

/** The order after a click on a header: this column, the other way, problems first again. */
export function nextSort(filters: Filters, column: string, highestFirst: boolean): string {
  const first = (highestFirst ? "-" : "") + column;
  const second = (highestFirst ? "" : "-") + column;
  const now = (filters.descending ? "-" : "") + filters.sort;
  if (now === first) return second;
  return now === second ? "" : first;
}

/** Rows that all filters but the state's let through. */
export function matching<R extends Row>(rows: readonly R[], filters: Filters): R[] {
  const words = filters.q.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (filters.cluster !== "" && row.cluster !== filters.cluster) return false;
    if (filters.worker !== "" && row.worker !== filters.worker) return false;
    if (filters.model !== "" && row.model !== filters.model) return false;
    return words.every((word) => row.search.some((text) => text.toLowerCase().includes(word)));
  });
}

/** How many rows have each state, the worst first. A chosen state that no row has is there with 0, so that it can be taken back. */
export function countStates(rows: readonly Row[], chosen: readonly string[]): [string, number][] {
  const counts = new Map<string, number>(chosen.map((s) => [s, 0]));
  for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => rank(a) - rank(b) || compareTexts(a, b));
}

export function inStates<R extends Row>(rows: readonly R[], states: readonly string[]): R[] {
  return states.length === 0 ? [...rows] : rows.filter((row) => states.includes(row.state));
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function compareTexts(a: string, b: string): number {
  return collator.compare(a, b);
}

export type Sortable = string | number | undefined;

/** Sorts in place by a column's value; what has none comes last either way. Without a column: problems first, then by key. */
export function sortRows<R extends Row>(rows: R[], value: ((row: R) => Sortable) | undefined, descending: boolean): R[] {
  const byKey = (a: R, b: R) => compareTexts(a.key, b.key);
  if (!value) return rows.sort((a, b) => rank(a.state) - rank(b.state) || byKey(a, b));
  const values = new Map(rows.map((row) => [row, value(row)]));
  const way = descending ? -1 : 1;
  return rows.sort((a, b) => {
    const x = values.get(a);
    const y = values.get(b);
    if (x === undefined || y === undefined) return x === y ? byKey(a, b) : x === undefined ? 1 : -1;
    const order = typeof x === "number" && typeof y === "number" ? x - y : compareTexts(String(x), String(y));
    return way * order || byKey(a, b);
  });
}

/** The rows of a page, and how many pages there are. A page behind the last is the last. */
export function pageOf<R>(rows: readonly R[], page: number): { rows: readonly R[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(rows.length / perPage));
  const shown = Math.min(page, pages);
  return { rows: rows.slice((shown - 1) * perPage, shown * perPage), page: shown, pages };
}

/** Distinct values of a filter, sorted. */
export function choices<R extends Row>(rows: readonly R[], of: "cluster" | "worker" | "model"): string[] {
  return [...new Set(rows.map((row) => row[of]).filter((v): v is string => v !== undefined && v !== ""))].sort(compareTexts);
}
