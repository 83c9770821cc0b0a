// The difference of two pages that were made of the same native page: series by series.

export type Mark = "same" | "added" | "removed" | "changed";

export interface Line {
  text: string;
  mark: Mark;
  /** Of a changed line: the other value, type or help text. */
  before?: string;
}

export interface Difference {
  lines: Line[];
  /** Series; comments don't count. */
  added: number;
  removed: number;
  changed: number;
}

/** What a line is about, and what it says about it. */
export function split(line: string): [key: string, value: string] {
  if (line.startsWith("#")) {
    const name = /^# (?:HELP|TYPE|UNIT) \S+/.exec(line)?.[0];
    return name === undefined ? [line, ""] : [name, line.slice(name.length).trim()];
  }
  const brace = line.lastIndexOf("}");
  const at = brace >= 0 ? brace + 1 : line.search(/\s/);
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at).trim()];
}

const familyOf = (key: string): string | undefined => /^# (?:HELP|TYPE|UNIT) (\S+)/.exec(key)?.[1];

/** Lines of `after` in their order; what only `before` has stands at the end of its metric, or where its metric stood. */
export function difference(before: readonly string[], after: readonly string[]): Difference {
  const old = new Map<string, string>();
  for (const line of before) old.set(...split(line));
  const keys = after.map(split);
  const now = new Set(keys.map(([key]) => key));
  const gone = new Map<string, Line[]>(); // by the metric that they belong to
  const order: string[] = []; // of metrics that `after` may lack, each behind the one before it
  let family = "";
  for (const line of before) {
    const [key] = split(line);
    const named = familyOf(key);
    if (named !== undefined && named !== family) {
      family = named;
      order.push(family);
    }
    if (now.has(key)) continue;
    const list = gone.get(family);
    if (list) list.push({ text: line, mark: "removed" });
    else gone.set(family, [{ text: line, mark: "removed" }]);
  }
  const result: Difference = { lines: [], added: 0, removed: 0, changed: 0 };
  const kept = new Set(keys.map(([key]) => familyOf(key)).filter((f) => f !== undefined));
  const flush = (name: string) => {
    const lines = gone.get(name);
    if (!lines) return;
    gone.delete(name);
    for (const line of lines) result.lines.push(line);
    result.removed += lines.filter((l) => !l.text.startsWith("#")).length;
  };
  // A metric that is gone follows the one that it followed before.
  const following = new Map<string, string[]>();
  let last = "";
  for (const name of order) {
    if (kept.has(name)) last = name;
    else following.set(last, [...(following.get(last) ?? []), name]);
  }
  const end = (name: string) => {
    flush(name);
    for (const next of following.get(name) ?? []) flush(next);
  };
  let current = "";
  for (const [i, [key, value]] of keys.entries()) {
    const named = familyOf(key);
    if (named !== undefined && named !== current) {
      end(current);
      current = named;
    }
    const text = after[i]!;
    const was = old.get(key);
    const comment = key.startsWith("#");
    if (was === undefined) {
      result.lines.push({ text, mark: "added" });
      if (!comment) result.added++;
    } else if (was !== value) {
      result.lines.push({ text, mark: "changed", before: was });
      if (!comment) result.changed++;
    } else result.lines.push({ text, mark: "same" });
  }
  end(current);
  for (const name of gone.keys()) flush(name);
  return result;
}
