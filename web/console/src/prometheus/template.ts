// Fills the variables of a dashboard into PromQL, as Grafana's data source for Prometheus does.
import { rateInterval } from "./step";

/** A variable's value for queries. */
export interface Filled {
  /** All: any value, none included. */
  all?: boolean;
  values: readonly string[];
  /** It stands for several values, so that queries match it as a regular expression. */
  pattern: boolean;
}

export type Values = Readonly<Record<string, Filled>>;

const placeholder = /\$\{(\w+)(?::\w+)?\}|\$(\w+)/g;

/** Escapes a text for PromQL's double quotes and single quotes. Each refuses the other's quote behind a backslash, so that one is a code. */
export function quoted(text: string): string {
  return text.replace(/[\\"]/g, "\\$&").replace(/'/g, "\\x27").replace(/\n/g, "\\n");
}

function escapedPattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The text that stands for a variable in PromQL. */
export function filled(v: Filled, asPattern = v.pattern): string {
  if (v.all) return ".*";
  if (!asPattern) return quoted(v.values[0] ?? "");
  const alternatives = v.values.map(escapedPattern);
  return quoted(alternatives.length === 1 ? alternatives[0]! : `(${alternatives.join("|")})`);
}

/** The expression with all variables filled in; $1 of label_replace and unknown names stay. */
export function fill(expr: string, values: Values, rangeSeconds: number, step: number): string {
  const range = Math.max(1, Math.round(rangeSeconds));
  return expr.replace(placeholder, (whole: string, braced?: string, bare?: string) => {
    const name = braced ?? bare!;
    switch (name) {
      case "__rate_interval":
        return rateInterval(step);
      case "__interval":
        return step + "s";
      case "__range":
        return range + "s";
      case "__range_s":
        return String(range);
    }
    const v = Object.hasOwn(values, name) ? values[name] : undefined;
    if (!v) return whole;
    return filled(v, v.pattern || /:regex\}$/.test(whole));
  });
}

/** Names of the variables in a text, each once. */
export function variablesIn(text: string): string[] {
  const names = new Set<string>();
  for (const [, braced, bare] of text.matchAll(placeholder)) names.add((braced ?? bare)!);
  return [...names].filter((name) => !/^\d/.test(name) && !name.startsWith("__"));
}
