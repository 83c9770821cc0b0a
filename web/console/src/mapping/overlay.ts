// Texts that are put into a document: the overlay to begin with, and an entry for a native metric.
import type { NativeMetric } from "./native";
import { value, type Item } from "./editor/outline";

/** A name that YAML takes for itself when it stands without quotes. */
export function scalar(text: string): string {
  if (/^[A-Za-z_][\w:./ -]*$/.test(text) && !/:(\s|$)|\s$|^(?:null|true|false|yes|no|on|off|y|n)$/i.test(text)) return text;
  return JSON.stringify(text);
}

const types = ["gauge", "counter", "histogram", "summary"];

export interface Suggestion {
  /** In a document: a counter has no _total. */
  native: string;
  unified: string;
  type: string;
}

/** A unified metric for a native one: the name without the engine's prefix, and the type that the page declares. */
export function suggest(metric: Pick<NativeMetric, "name" | "type">): Suggestion {
  const type = types.includes(metric.type) ? metric.type : metric.name.endsWith("_total") ? "counter" : "gauge";
  const short = metric.name.includes(":") ? metric.name.slice(metric.name.lastIndexOf(":") + 1) : metric.name;
  const name = type === "counter" ? short.replace(/_total$/, "") : short;
  return { native: metric.name, unified: "gpustack:" + (name.replace(/[^a-zA-Z0-9_]/g, "_") || "metric"), type };
}

const dull = /^(python|process|go|http|promhttp|scrape)_|_created$/;

/** The unmapped metric that makes the best example: of the engine itself. */
export function example(unmapped: readonly string[]): string | undefined {
  return unmapped.find((name) => name.includes(":") && !dull.test(name)) ?? unmapped.find((name) => !dull.test(name));
}

export interface Lead {
  about: string;
  /** The sentence before an example of an instance's unmapped metric. */
  exampleOf: string;
}

/** The overlay that a change of the built-in mapping begins with. */
export function overlay(lead: Lead, metric?: NativeMetric, runtime = ""): string {
  const head = `# ${lead.about}\nextends: default\n`;
  if (!metric || runtime === "") return head;
  const s = suggest(metric);
  const entry = ["gpustack_metrics:", `  ${s.unified}:`, `    type: ${s.type}`, ...(metric.help === "" ? [] : [`    description: ${describe(metric.help)}`]), "runtime_mapping:", `  ${scalar(runtime)}:`, '    "*":', `      ${scalar(s.native)}: ${s.unified}`];
  return `${head}\n# ${lead.exampleOf}\n${entry.map((line) => `# ${line}\n`).join("")}`;
}

const describe = (help: string) => JSON.stringify(help.length > 300 ? help.slice(0, 299) + "…" : help);

export interface Edit {
  from: number;
  to: number;
  insert: string;
}

export interface Insertion {
  edits: Edit[];
  /** Where the unified name stands afterwards. */
  names: { from: number; to: number }[];
}

/**
 * Puts an entry for a native metric into a document. A unified metric that is known already is not defined again.
 * Undefined where a part of the document that the entry belongs into is in braces.
 */
export function mapMetric(text: string, root: Item | undefined, metric: NativeMetric, runtime: string, known: ReadonlySet<string>): Insertion | undefined {
  if (root !== undefined && (root.kind !== "map" || text[root.from] === "{")) return undefined;
  const s = suggest(metric);
  const edits: { edit: Edit; name: number }[] = [];
  const put = (path: string[], lines: string[], keyLine: number): boolean => {
    const place = insertAt(text, root, path);
    if (!place) return false;
    const body = [...place.missing.map((key, i) => " ".repeat(place.indent + 2 * i) + scalar(key) + ":"), ...lines.map((line) => " ".repeat(place.indent + 2 * place.missing.length) + line)];
    const before = place.at > 0 && text[place.at - 1] !== "\n" ? "\n" : "";
    const insert = before + body.join("\n") + "\n";
    const line = place.missing.length + keyLine;
    const start = before.length + body.slice(0, line).reduce((n, l) => n + l.length + 1, 0);
    edits.push({ edit: { from: place.at, to: place.to, insert }, name: start + body[line]!.indexOf(s.unified) });
    return true;
  };
  const runtimes = value(root, "runtime_mapping");
  const named = runtimes?.entries.find((e) => e.key.toLowerCase() === runtime.toLowerCase())?.key ?? runtime;
  const isNew = !known.has(s.unified) && !known.has(s.unified + "_total") && !value(root, "gpustack_metrics", s.unified);
  if (isNew && !put(["gpustack_metrics"], [`${s.unified}:`, `  type: ${s.type}`, ...(metric.help === "" ? [] : [`  description: ${describe(metric.help)}`])], 0)) return undefined;
  if (!put(["runtime_mapping", named, "*"], [`${scalar(s.native)}: ${s.unified}`], 0)) return undefined;
  edits.sort((a, b) => a.edit.from - b.edit.from);
  // Both may come to the end of the document; the first then stands first.
  const names: Insertion["names"] = [];
  let moved = 0;
  for (const { edit, name } of edits) {
    const from = edit.from + moved + name;
    names.push({ from, to: from + s.unified.length });
    moved += edit.insert.length - (edit.to - edit.from);
  }
  // The name of the native metric may contain that of the unified one: the value stands last.
  const target = edits.at(-1)!;
  const mapping = edits.findIndex((e) => e.edit.insert.includes(`: ${s.unified}\n`));
  if (mapping >= 0) {
    const inside = edits[mapping]!.edit.insert.lastIndexOf(`: ${s.unified}\n`) + 2;
    const from = names[mapping]!.from - edits[mapping]!.name + inside;
    names[mapping] = { from, to: from + s.unified.length };
  }
  return target && { edits: edits.map((e) => e.edit), names };
}

/** Where an entry under a path of keys goes, and the keys that are missing. */
function insertAt(text: string, root: Item | undefined, path: readonly string[]): { at: number; to: number; indent: number; missing: string[] } | undefined {
  let map = root;
  let indent = 0;
  for (const [depth, key] of path.entries()) {
    const entry = map?.entries.find((e) => e.key === key);
    if (!entry) {
      const at = map && depth > 0 ? endOfLine(text, map.to) : text.length; // behind comments at the end
      return { at, to: at, indent, missing: path.slice(depth) };
    }
    const value = entry.value;
    if (!value || (value.kind === "text" && value.to === value.from)) {
      const at = endOfLine(text, entry.to);
      return { at, to: at, indent: indent + 2, missing: path.slice(depth + 1) };
    }
    if (value.kind !== "map") return undefined;
    if (text[value.from] === "{") {
      if (value.entries.length > 0) return undefined;
      // Empty braces give way to a block.
      if (!/^[ \t]*(\r?\n|$)/.test(text.slice(value.to))) return undefined;
      return { at: value.from, to: endOfLine(text, value.to), indent: indent + 2, missing: path.slice(depth + 1) };
    }
    map = value;
    indent = columnOf(text, value.entries[0]!.from);
  }
  const at = endOfLine(text, map!.to);
  return { at, to: at, indent, missing: [] };
}

function endOfLine(text: string, pos: number): number {
  // A block may end behind its last line break.
  if (pos > 0 && text[pos - 1] === "\n") return pos;
  const end = text.indexOf("\n", pos);
  return end < 0 ? text.length : end + 1;
}

const columnOf = (text: string, pos: number) => pos - (text.lastIndexOf("\n", pos - 1) + 1);
