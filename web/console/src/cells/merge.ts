// The rows of a table from the answers of its queries.
import type { Labels, Series } from "../model/panel";

/** One row: labels, and the newest value of each query by its index; absent where the query has none. */
export interface Row {
  labels: Labels;
  values: (number | undefined)[];
  /** Of a matrix: values by the label across. */
  cells?: Record<string, number | undefined>;
}

/** The newest value; undefined if it is not a number, as of a ratio to nothing. An older one would pass for the newest. */
export function newest(series: Series): number | undefined {
  const v = series.values.at(-1);
  return Number.isNaN(v) ? undefined : v;
}

/**
 * Joins the answers as Grafana's transformation "merge" does: series join a row if all labels that every answer has are equal and no other
 * label of theirs contradicts. An empty answer is no answer. A row can take a series of which it lacks a label, and a series can join many rows.
 */
export function merge(answers: readonly Series[][]): Row[] {
  const filled = answers.map((series, query) => ({ series, query, names: namesOf(series) })).filter(({ series }) => series.length > 0);
  const shared = [...(filled[0]?.names ?? [])].filter((name) => filled.every(({ names }) => names.has(name)));
  const rows: Row[] = [];
  const byKey = new Map<string, Row[]>();
  for (const { series, query, names } of filled) {
    for (const one of series) {
      // Within an answer, a series without a label that others have is one with an empty label.
      const labels: Record<string, string> = {};
      for (const name of names) labels[name] = one.labels[name] ?? "";
      const value = newest(one);
      const key = JSON.stringify(shared.map((name) => labels[name]));
      const same = byKey.get(key) ?? [];
      byKey.set(key, same);
      const joined = same.filter((row) => row.values[query] === undefined && agree(row.labels, labels));
      for (const row of joined) {
        row.labels = { ...row.labels, ...labels };
        row.values[query] = value;
      }
      if (joined.length) continue;
      const row: Row = { labels, values: answers.map((_, i) => (i === query ? value : undefined)) };
      same.push(row);
      rows.push(row);
    }
  }
  return rows;
}

function namesOf(series: readonly Series[]): Set<string> {
  const names = new Set<string>();
  for (const one of series) for (const name in one.labels) names.add(name);
  return names;
}

function agree(a: Labels, b: Labels): boolean {
  for (const name in b) if (a[name] !== undefined && a[name] !== b[name]) return false;
  return true;
}
