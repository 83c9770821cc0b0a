// What a dashboard's variables stand for: the URL's values, or the default.
import type { Variable } from "../model/dashboard";
import { fill, variablesIn, type Filled, type Values } from "../prometheus/template";

export const all = "$__all";

/** A variable with what is chosen. */
export interface Chosen {
  variable: Variable;
  /** [all] or values; empty: nothing can be chosen. */
  values: string[];
  /** Absent until they are known. */
  options?: string[];
  /** Values of the URL that no option has. */
  missing: string[];
}

/** The label and the selector of label_values(SELECTOR, LABEL); undefined if the query is something else. */
export function labelValuesOf(query: string): { selector?: string; label: string } | undefined {
  const m = /^\s*label_values\(\s*(?:([\s\S]+),)?\s*([a-zA-Z_]\w*)\s*\)\s*$/.exec(query);
  if (!m) return undefined;
  const selector = m[1]?.trim();
  return selector ? { selector, label: m[2]! } : { label: m[2]! };
}

/** The values that the URL gives a variable; undefined if it gives none. */
export function fromURL(variable: Variable, query: URLSearchParams): string[] | undefined {
  const given = query.getAll("var-" + variable.name).filter((v) => v !== "" || variable.text !== undefined);
  if (given.length === 0) return undefined;
  if (variable.all && given.some((v) => v === all || v === "All")) return [all];
  return variable.multi ? [...new Set(given)] : given.slice(0, 1);
}

/** What is chosen, given the options as far as they are known. */
export function choose(variable: Variable, query: URLSearchParams, options?: string[]): Chosen {
  const given = fromURL(variable, query);
  if (variable.text !== undefined) return { variable, values: given ?? [variable.text], options: [], missing: [] };
  const offered = variable.custom ?? options;
  let values = given ?? (variable.all ? [all] : offered?.length ? [offered[0]!] : []);
  if (variable.all && values.length === 0) values = [all];
  const missing = offered ? values.filter((v) => v !== all && !offered.includes(v)) : [];
  return offered ? { variable, values, options: offered, missing } : { variable, values, missing };
}

/** A chosen variable as queries get it. */
export function asFilled(c: Chosen): Filled {
  const pattern = !!(c.variable.multi || c.variable.all);
  return c.values[0] === all ? { all: true, values: [], pattern } : { values: c.values, pattern };
}

export function valuesOf(chosen: readonly Chosen[]): Values {
  return Object.fromEntries(chosen.map((c) => [c.variable.name, asFilled(c)]));
}

/** Writes a variable's values into the URL's query. What follows from it, and is not All, is chosen anew. */
export function write(query: URLSearchParams, variables: readonly Variable[], name: string, values: readonly string[]): void {
  const key = "var-" + name;
  query.delete(key);
  for (const v of values) query.append(key, v);
  const changed = new Set([name]);
  for (const v of variables) {
    if (!v.query || !variablesIn(v.query).some((n) => changed.has(n)) || changed.has(v.name)) continue;
    changed.add(v.name);
    query.delete("var-" + v.name);
  }
}

/** What to ask Prometheus for the options of a variable. */
export interface Ask {
  /** The variable's. */
  name: string;
  key: string;
  selector?: string;
  label: string;
}

/**
 * Chooses all variables in order: a later one's options depend on the earlier ones' values. optionsFor gives the options that are
 * known for a key of asks.
 */
export function chooseAll(
  variables: readonly Variable[],
  query: URLSearchParams,
  rangeSeconds: number,
  optionsFor: (key: string) => readonly string[] | undefined,
): { chosen: Chosen[]; asks: Ask[] } {
  const chosen: Chosen[] = [];
  const asks: Ask[] = [];
  for (const v of variables) {
    const q = v.query === undefined ? undefined : labelValuesOf(v.query);
    const needs = q?.selector === undefined ? [] : variablesIn(q.selector);
    if (!q || chosen.some((c) => needs.includes(c.variable.name) && !decided(c))) {
      chosen.push(choose(v, query, v.query !== undefined && !q ? [] : undefined));
      continue;
    }
    const selector = q.selector === undefined ? undefined : fill(q.selector, valuesOf(chosen), rangeSeconds, 15);
    const key = `${q.label} ${selector ?? ""}`;
    asks.push({ name: v.name, key, label: q.label, ...(selector !== undefined && { selector }) });
    const options = optionsFor(key);
    chosen.push(choose(v, query, options && [...options]));
  }
  return { chosen, asks };
}

/** Whether it is clear what a variable stands for, be it nothing. */
export function decided(c: Chosen): boolean {
  return c.values.length > 0 || c.options !== undefined;
}
