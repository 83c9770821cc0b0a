// Finds the metrics that an expression reads.
import { variablesIn } from "../prometheus/template";

/** A selector of a metric, with what of it depends on variables left out. */
export interface Selector {
  metric: string;
  /** PromQL without matchers of variables. */
  text: string;
  /** Labels that variables choose, with the variable's name. */
  chosen: { label: string; variable: string }[];
}

const words = new Set(["by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or", "unless", "atan2", "inf", "nan", "start", "end"]);
const lists = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);

/** The selectors of an expression, each metric once, in order. */
export function selectorsIn(expr: string): Selector[] {
  const found = new Map<string, Selector>();
  let at = 0;
  const skipSpace = () => {
    while (/\s/.test(expr[at] ?? "")) at++;
  };
  while (at < expr.length) {
    const c = expr[at]!;
    if (c === '"' || c === "'" || c === "`") {
      at = endOfString(expr, at);
      continue;
    }
    if (c === "[") {
      at = after(expr, at, "]");
      continue;
    }
    const word = /^[a-zA-Z_:][\w:]*/.exec(expr.slice(at, at + 200))?.[0];
    if (word !== undefined && !/[\w$]/.test(expr[at - 1] ?? "")) {
      at += word.length;
      skipSpace();
      if (lists.has(word.toLowerCase())) {
        if (expr[at] === "(") at = after(expr, at, ")");
        continue;
      }
      if (expr[at] === "(" || words.has(word.toLowerCase()) || /^(?:by|without)\b/i.test(expr.slice(at, at + 8))) continue;
      const matchers = expr[at] === "{" ? expr.slice(at, after(expr, at, "}")) : "";
      at += matchers.length;
      add(found, word, matchers);
      continue;
    }
    if (c === "{") {
      const end = after(expr, at, "}");
      add(found, "", expr.slice(at, end));
      at = end;
      continue;
    }
    at++;
  }
  return [...found.values()];
}

function add(found: Map<string, Selector>, metric: string, matchers: string): void {
  const kept: string[] = [];
  const chosen: Selector["chosen"] = [];
  for (const [whole, label, , value] of matchers.matchAll(/([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g)) {
    const names = variablesIn(value!);
    if (names.length === 0) {
      if (label !== "le" || !metric.endsWith("_bucket")) kept.push(whole);
    } else chosen.push({ label: label!, variable: names[0]! });
  }
  metric = metric.replace(/_bucket$/, "_count"); // a histogram has both, and far fewer series of this one
  const text = metric + (kept.length > 0 ? `{${kept.join(", ")}}` : "");
  const name = metric || /__name__\s*=~?\s*"([^"]*)"/.exec(matchers)?.[1];
  if (!name || text === "") return;
  const before = found.get(name);
  if (!before) found.set(name, { metric: name, text, chosen });
  else if (before.text !== text && metric) before.text = metric; // whichever of its series the expression needs
}

function endOfString(text: string, at: number): number {
  const quote = text[at]!;
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === "\\" && quote !== "`") i++;
    else if (text[i] === quote) return i + 1;
  }
  return text.length;
}

/** The place after the closing bracket that belongs to the one at a place. */
function after(text: string, at: number, close: string): number {
  const open = text[at]!;
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"' || c === "'" || c === "`") i = endOfString(text, i) - 1;
    else if (c === open) depth++;
    else if (c === close && --depth === 0) return i + 1;
  }
  return text.length;
}
