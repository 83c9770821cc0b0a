// Why a panel has no data, as far as one question to Prometheus can tell.
import type { Series } from "../model/panel";
import { variablesIn, type Values } from "../prometheus/template";
import { selectorsIn, type Selector } from "./selectors";
import type { Chosen } from "./variables";

/** A reason; the texts are in texts/en/shell.ts. */
export type Reason =
  /** All chosen values of a variable are gone; options are those that the range has. */
  | { kind: "gone"; label: string; values: string[]; options: string[] }
  /** Nothing has the metric in the last week. */
  | { kind: "never"; metric: string }
  /** It was there at another time; last in seconds since the epoch. */
  | { kind: "earlier"; metric: string; last: number }
  /** Others have it, the chosen value of a variable has not. */
  | { kind: "others"; metric: string; variable: string; values: string[]; others: string[] }
  /** The metrics are there, and the expression gives nothing. */
  | { kind: "empty"; metrics: string[] };

/** The variable that the expressions need and none of whose chosen values is there: it explains without a question. */
export function gone(exprs: readonly string[], chosen: readonly Chosen[]): Reason | undefined {
  for (const c of chosen) {
    if (c.missing.length === 0 || c.missing.length < c.values.length) continue;
    if (exprs.some((e) => variablesIn(e).includes(c.variable.name))) return { kind: "gone", label: c.variable.label, values: c.missing, options: c.options!.filter((o) => !c.missing.includes(o)) };
  }
  return undefined;
}

const mostSelectors = 3;
const lookBack = "7d:15m";

interface Question {
  expr: string;
  selectors: Selector[];
}

/**
 * The one query that tells why the expressions have no data: for each metric how many series the range has by the labels
 * that variables choose, or the negative time of its last sample within a week.
 */
export function question(exprs: readonly string[], rangeSeconds: number): Question | undefined {
  const found = new Map<string, Selector>();
  for (const expr of exprs) for (const s of selectorsIn(expr)) if (!found.has(s.metric)) found.set(s.metric, s);
  const selectors = [...found.values()].slice(0, mostSelectors);
  if (selectors.length === 0) return undefined;
  const span = Math.max(60, Math.round(rangeSeconds));
  const inRange = `${span}s:${Math.max(15, Math.ceil(span / 60))}s`;
  const parts = selectors.map((s, i) => {
    const labels = [...new Set(s.chosen.map((c) => c.label))].join(", ");
    const now = `max_over_time((count by (${labels}) (${s.text}))[${inRange}])`;
    // Of metrics that a pattern matches, timestamp() would give equal series, which Prometheus refuses.
    if (isPattern(s)) return `label_replace(${now}, "asked", "${i}", "", "")`;
    const ever = `-max_over_time((max by (${labels}) (timestamp(${s.text})))[${lookBack}])`;
    return `label_replace(${now} or ${ever}, "asked", "${i}", "", "")`;
  });
  return { expr: parts.join(" or "), selectors };
}

const isPattern = (s: Selector) => s.text.startsWith("{");

/** Reads the answer to a question; undefined if it tells nothing. */
export function reason(q: Question, answer: readonly Series[], values: Values): Reason | undefined {
  const present: string[] = [];
  for (const [i, s] of q.selectors.entries()) {
    const rows = answer.filter((a) => a.labels["asked"] === String(i)).map((a) => ({ labels: a.labels, value: a.values.at(-1) ?? 0 }));
    const inRange = rows.filter((r) => r.value > 0);
    if (rows.length === 0 && isPattern(s)) continue; // it may have been there before
    if (rows.length === 0) return { kind: "never", metric: s.text };
    let matching = inRange;
    for (const { label, variable } of s.chosen) {
      const v = Object.hasOwn(values, variable) ? values[variable] : undefined;
      if (!v || v.all || v.values.length === 0) continue;
      const left = matching.filter((r) => v.values.includes(r.labels[label] ?? ""));
      if (left.length === 0 && matching.length > 0) {
        const others = [...new Set(matching.map((r) => r.labels[label] ?? ""))].filter((o) => o !== "").sort();
        return { kind: "others", metric: s.text, variable, values: [...v.values], others };
      }
      matching = left;
    }
    if (inRange.length === 0) return { kind: "earlier", metric: s.text, last: Math.max(...rows.map((r) => -r.value)) };
    present.push(s.text);
  }
  return present.length > 0 ? { kind: "empty", metrics: present } : undefined;
}
