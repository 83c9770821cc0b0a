// Where in a YAML document somebody writes: the keys that lead there. It reads the text, not the syntax tree, because what is being written is
// seldom complete YAML.

export interface Place {
  /** Keys from the top; an item of a list is "-". Of a value the last one is its own key. */
  path: string[];
  /** An item is a value of a list, and in a list of blocks maybe the first key of one. */
  part: "key" | "value" | "item";
  /** Where the word that is being written begins. */
  from: number;
  /** Columns of the line's key; of one in braces those of the line. */
  indent: number;
  /** In braces or brackets. */
  flow: boolean;
}

const keyPattern = /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|((?![#{}[\],&*!|>%@`"'])[^\s](?:(?!\s#)[^\n])*?))[ \t]*:(?=\s|$)/;

interface Entry {
  column: number;
  /** Undefined: the dash of a list. */
  key?: string;
}

interface Line {
  entries: Entry[];
  /** Column at which what follows the entries begins. */
  rest: number;
}

function unquote(match: RegExpExecArray): string {
  if (match[1] !== undefined) return match[1].replace(/\\(["\\/])/g, "$1");
  if (match[2] !== undefined) return match[2].replaceAll("''", "'");
  return match[3]!;
}

/** The dashes and the key that a line begins with. */
function lineOf(text: string): Line {
  const entries: Entry[] = [];
  let at = /^ */.exec(text)![0].length;
  for (;;) {
    const dash = /^-(?: +|$)/.exec(text.slice(at));
    if (!dash) break;
    entries.push({ column: at });
    at += dash[0].length;
  }
  const key = keyPattern.exec(text.slice(at));
  if (key) {
    entries.push({ column: at, key: unquote(key) });
    at += key[0].length;
    at += /^[ \t]*/.exec(text.slice(at))![0].length;
  }
  return { entries, rest: at };
}

/** Lines above that are looked at; a document has at most some ten thousand. */
const mostLines = 100_000;

/** The keys above a line, of what stands at a column. */
function parents(text: string, lineStart: number, column: number, item: boolean): string[] {
  const path: string[] = [];
  let end = lineStart - 1;
  for (let n = 0; end >= 0 && n < mostLines && (column > 0 || item); n++) {
    const start = text.lastIndexOf("\n", end - 1) + 1;
    const line = text.slice(start, end);
    end = start - 1;
    if (/^\s*(#|$)/.test(line)) continue;
    for (const entry of lineOf(line).entries.reverse()) {
      // The dashes of a list may stand in the column of its key.
      if (entry.key === undefined ? entry.column >= column : item ? entry.column > column : entry.column >= column) continue;
      path.unshift(entry.key ?? "-");
      column = entry.column;
      item = entry.key === undefined;
    }
  }
  return path;
}

interface Level {
  list: boolean;
  key?: string;
}

interface Flow {
  levels: Level[];
  /** Where the word at the end begins. */
  from: number;
  quoted: boolean;
  comment: boolean;
}

/** What is open at the end of a text in flow style. */
function flowOf(text: string): Flow {
  const levels: Level[] = [];
  let from = 0;
  let word = "";
  let quote = "";
  let comment = false;
  const fresh = (at: number) => {
    from = at;
    word = "";
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (comment) {
      if (c === "\n") {
        comment = false;
        fresh(i + 1);
      }
      continue;
    }
    if (quote !== "") {
      if (quote === '"' && c === "\\") word += text[++i] ?? "";
      else if (c === quote) quote = "";
      else word += c;
      continue;
    }
    const level = levels.at(-1);
    if (c === "#" && (i === 0 || /\s/.test(text[i - 1]!))) comment = true;
    else if (level === undefined && c !== "{" && c !== "[" && i > 0 && !/\s/.test(c)) {
      // plain text, or what follows a closed bracket
      word += c;
    } else if ((c === '"' || c === "'") && word === "") quote = c;
    else if ((c === "{" || c === "[") && word === "") {
      levels.push({ list: c === "[" });
      fresh(i + 1);
    } else if (level && (c === "}" || c === "]")) {
      levels.pop();
      fresh(i + 1);
    } else if (level && c === ",") {
      delete level.key;
      fresh(i + 1);
    } else if (level && !level.list && level.key === undefined && c === ":" && (i + 1 === text.length || /[\s,{}[\]]/.test(text[i + 1]!) || /["']/.test(text[i - 1] ?? ""))) {
      level.key = word.trim();
      fresh(i + 1);
    } else if (/\s/.test(c)) {
      if (word === "") fresh(i + 1);
      else word += c;
    } else word += c;
  }
  return { levels, from, quoted: quote !== "", comment };
}

/** Lines above the cursor in which the bracket of a value may stand. */
const flowLines = 40;

/** Where the flow value begins that is still open at pos, in a line above. */
function openAbove(text: string, lineStart: number, pos: number): number | undefined {
  let end = lineStart - 1;
  for (let n = 0; end >= 0 && n < flowLines; n++) {
    const start = text.lastIndexOf("\n", end - 1) + 1;
    const line = text.slice(start, end);
    end = start - 1;
    const { rest } = lineOf(line);
    if (!/^[{[]/.test(line.slice(rest))) continue;
    return flowOf(text.slice(start + rest, pos)).levels.length > 0 ? start + rest : undefined;
  }
  return undefined;
}

/** The place at a position; undefined in a comment. */
export function placeAt(text: string, pos: number): Place | undefined {
  const lineStart = text.lastIndexOf("\n", pos - 1) + 1;
  const above = openAbove(text, lineStart, pos);
  const start = above === undefined ? lineStart : text.lastIndexOf("\n", above - 1) + 1;
  const before = text.slice(start, pos);
  const line = lineOf(above === undefined ? before : text.slice(start, above));
  const last = line.entries.at(-1);
  const column = line.entries[0]?.column ?? line.rest;
  const path = parents(text, start, column, line.entries.length > 0 && line.entries[0]!.key === undefined);
  for (const entry of line.entries) path.push(entry.key ?? "-");
  const indent = last?.key === undefined ? line.rest : last.column;
  const flow = flowOf(before.slice(line.rest));
  if (flow.comment) return undefined;
  let from = start + line.rest + (flow.levels.length > 0 ? flow.from : 0);
  if (flow.levels.length === 0) return { path, part: last === undefined ? "key" : last.key === undefined ? "item" : "value", from, indent, flow: false };
  for (const level of flow.levels) {
    if (level.list) path.push("-");
    else if (level.key !== undefined) path.push(level.key);
  }
  const inner = flow.levels.at(-1)!;
  return { path, part: inner.list ? "item" : inner.key === undefined ? "key" : "value", from, indent, flow: true };
}
