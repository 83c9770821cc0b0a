// What can be written at a place of a mapping document, and what is known of what is written there.
import type { NativeReport } from "../../api/types";
import type { NativeMetric } from "../native";
import { targetsOf } from "../previewlines";
import { scalar } from "../overlay";
import { value, type Item } from "./outline";
import { placeAt, type Place } from "./place";
import { descriptionAt, keysAt, valuesAt, type Schema } from "./schema";

export interface Unified {
  type: string;
  description: string;
}

export interface Builtin {
  unified: Map<string, Unified>;
  /** Runtimes with their version ranges, and native metrics of all ranges. */
  runtimes: Map<string, { ranges: string[]; natives: Set<string> }>;
}

export interface Sources {
  schema?: Schema;
  builtin?: Builtin;
  /** The chosen instance. */
  instance?: { runtime: string; version: string; metrics: Map<string, NativeMetric>; reports: ReadonlyMap<string, NativeReport> };
}

export interface Option {
  label: string;
  kind: "key" | "unified" | "native" | "label" | "value" | "runtime" | "version";
  detail?: string;
  info?: string;
  /** What is inserted; cursor in it is where the cursor goes. Absent: the label. */
  apply?: string;
  /** Higher ones stand first. */
  boost?: number;
}

/** Stands in what is inserted for the place of the cursor. */
export const cursor = "‸";

/** Words of the viewer's language in options. */
export interface Words {
  builtIn: string;
  unmapped: string;
  becomes: (names: string) => string;
  everyVersion: string;
  versions: (version: string) => string;
}

const labelLists = new Set(["sum_over", "sum_by", "max_over", "drop", "keep", "value_from"]);
const metricTypes = ["gauge", "counter", "histogram", "summary"];

/** The built-in document, as the server gives it. */
export function builtinOf(document: unknown): Builtin {
  const map = (v: unknown): [string, unknown][] => (typeof v === "object" && v !== null && !Array.isArray(v) ? Object.entries(v) : []);
  const field = (v: unknown, key: string): unknown => (typeof v === "object" && v !== null ? (v as Record<string, unknown>)[key] : undefined);
  const text = (v: unknown) => (typeof v === "string" ? v : "");
  return {
    unified: new Map(map(field(document, "gpustack_metrics")).map(([name, m]) => [name, { type: text(field(m, "type")), description: text(field(m, "description")) }])),
    runtimes: new Map(
      map(field(document, "runtime_mapping")).map(([name, ranges]) => [name, { ranges: map(ranges).map(([range]) => range), natives: new Set(map(ranges).flatMap(([, natives]) => map(natives).map(([native]) => native))) }]),
    ),
  };
}

/** Unified metrics that the document defines. */
export function unifiedOf(root: Item | undefined): Map<string, Unified> {
  return new Map((value(root, "gpustack_metrics")?.entries ?? []).map((e) => [e.key, { type: value(e.value, "type")?.text ?? "", description: value(e.value, "description")?.text ?? "" }]));
}

/** Unified metrics that targets of the document name. */
function named(root: Item | undefined): Set<string> {
  const names = new Set<string>();
  const collect = (item: Item | undefined) => {
    if (item?.kind === "text") names.add(item.text);
    else if (item?.kind === "list") item.items.forEach(collect);
    else if (item) for (const key of ["to", "name"]) collect(value(item, key));
  };
  for (const runtime of value(root, "runtime_mapping")?.entries ?? []) for (const range of runtime.value?.entries ?? []) for (const native of range.value?.entries ?? []) collect(native.value);
  names.delete("null");
  return names;
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

/** Options for the word at a position, and where it begins; undefined where nothing is known. */
export function complete(text: string, pos: number, root: Item | undefined, sources: Sources, words: Words): { from: number; options: Option[] } | undefined {
  const place = placeAt(text, pos);
  if (!place) return undefined;
  const options = optionsAt(place, root, sources, words);
  if (options.length === 0) return undefined;
  const end = text.indexOf("\n", pos);
  const rest = text.slice(pos, end < 0 ? undefined : end);
  const isKey = /^[^\s,{}[\]]*:(\s|$)/.test(rest); // the word is a key already: only its name is replaced
  const begun = text.slice(place.from, pos);
  return {
    from: place.from,
    options: options.map((o) => {
      const plain = begun.startsWith('"') || begun.startsWith("'") ? JSON.stringify(o.label) : scalar(o.label);
      if (isKey || o.apply === undefined) return plain === o.label ? without(o) : { ...without(o), apply: plain };
      return o;
    }),
  };
}

function without(o: Option): Option {
  const { apply: _, ...rest } = o;
  return rest;
}

function optionsAt(place: Place, root: Item | undefined, sources: Sources, words: Words): Option[] {
  const { path, part } = place;
  const options: Option[] = [];
  // In brackets a key would need braces.
  if (part === "key" || (part === "item" && !place.flow)) options.push(...keyOptions(place, root, sources, words));
  if (part !== "key") options.push(...valueOptions(path, root, sources, words));
  return options;
}

/** A key with what follows it: a block below, braces in a line, or a space. */
function asKey(name: string, takes: "text" | "map" | "list" | "block", place: Place): string {
  const key = scalar(name);
  if (takes === "list") return `${key}: [${cursor}]`;
  if (takes === "map") return `${key}: {${cursor}}`;
  if (takes === "block" && !place.flow) return `${key}:\n${" ".repeat(place.indent + 2)}${cursor}`;
  return `${key}: ${cursor}`;
}

function keyOptions(place: Place, root: Item | undefined, sources: Sources, words: Words): Option[] {
  const { path } = place;
  const { builtin, instance } = sources;
  const [top, runtime, range, native] = path;
  if (top === "gpustack_metrics" && path.length === 1) return unifiedKeys(place, root, builtin, words);
  if ((top === "runtime_mapping" || top === "name_aliases") && path.length === 1) {
    const names = new Map<string, string>();
    if (instance) names.set(instance.runtime, words.versions(instance.version));
    for (const name of builtin?.runtimes.keys() ?? []) if (![...names.keys()].some((n) => same(n, name))) names.set(name, words.builtIn);
    return [...names].map(([label, detail], i) => ({ label, detail, kind: "runtime", apply: asKey(label, "block", place), boost: i === 0 && instance ? 2 : 0 }));
  }
  if (top === "runtime_mapping" && path.length === 2) {
    const ranges = new Map([["*", words.everyVersion]]);
    for (const r of [...(builtin?.runtimes ?? [])].find(([name]) => same(name, runtime!))?.[1].ranges ?? []) if (!ranges.has(r)) ranges.set(r, words.builtIn);
    if (instance && same(instance.runtime, runtime!) && instance.version !== "") ranges.set(">=" + instance.version.replace(/\+.*/, ""), words.versions(instance.version));
    return [...ranges].map(([label, detail], i) => ({ label, detail, kind: "version", apply: asKey(label, "block", place), boost: -i }));
  }
  if (top === "runtime_mapping" && path.length === 3) return nativeKeys(place, runtime!, range!, root, sources, words);
  if (top === "runtime_mapping") {
    const key = path.at(-1)!;
    if (key === "match" || key === "rename") return labelOptions(native!, sources).map((o) => ({ ...o, apply: asKey(o.label, "text", place) }));
    if (key === "add") return [];
  }
  return keysAt(sources.schema ?? {}, path).map((k) => {
    const block = path.length === 0 && k.takes === "map";
    const option: Option = { label: k.name, kind: "key", apply: asKey(k.name, block ? "block" : k.takes, place) };
    if (k.description !== "") option.info = k.description;
    if (k.name === "to" || k.name === "type") option.boost = 2;
    if (k.description === "Has no effect.") option.boost = -5;
    return option;
  });
}

function unifiedKeys(place: Place, root: Item | undefined, builtin: Builtin | undefined, words: Words): Option[] {
  const defined = unifiedOf(root);
  const options: Option[] = [];
  for (const name of named(root)) {
    if (!defined.has(name) && !builtin?.unified.has(name)) options.push({ label: name, kind: "unified", apply: asKey(name, "block", place), boost: 3 });
  }
  for (const [name, u] of builtin?.unified ?? []) {
    if (!defined.has(name)) options.push({ label: name, kind: "unified", detail: `${u.type}, ${words.builtIn}`, info: u.description, apply: asKey(name, "block", place) });
  }
  return options;
}

function nativeKeys(place: Place, runtime: string, range: string, root: Item | undefined, { builtin, instance }: Sources, words: Words): Option[] {
  const there = new Set(value(root, "runtime_mapping", runtime, range)?.entries.map((e) => e.key));
  const options = new Map<string, Option>();
  if (instance && same(instance.runtime, runtime)) {
    for (const [name, metric] of instance.metrics) {
      const targets = targetsOf(instance.reports.get(name));
      const option: Option = { label: name, kind: "native", detail: [metric.type, targets.length > 0 ? words.becomes(targets.join(", ")) : words.unmapped].filter(Boolean).join(", "), apply: asKey(name, "text", place), boost: name.endsWith("_created") ? -2 : targets.length > 0 ? 0 : 1 };
      if (metric.help !== "") option.info = metric.help;
      options.set(name, option);
    }
  }
  for (const name of [...(builtin?.runtimes ?? [])].find(([n]) => same(n, runtime))?.[1].natives ?? []) {
    if (!options.has(name) && !options.has(name + "_total")) options.set(name, { label: name, kind: "native", detail: words.builtIn, apply: asKey(name, "text", place), boost: -1 });
  }
  return [...options.values()].filter((o) => !there.has(o.label));
}

function labelOptions(native: string, sources: Sources): Option[] {
  return [...(metricOf(native, sources)?.labels ?? [])].map(([label, values]) => ({ label, kind: "label", detail: [...values].slice(0, 3).join(", ") }));
}

function metricOf(native: string, { instance }: Sources): NativeMetric | undefined {
  return instance?.metrics.get(native) ?? instance?.metrics.get(native + "_total");
}

function valueOptions(path: readonly string[], root: Item | undefined, sources: Sources, words: Words): Option[] {
  const keys = path.filter((key) => key !== "-");
  const [top, , , native] = keys;
  const last = keys.at(-1);
  if (top === "gpustack_metrics" && keys.length === 3 && last === "type") return metricTypes.map((label) => ({ label, kind: "value" }));
  if (top === "runtime_mapping" && native !== undefined) {
    if (keys.length === 4 || last === "to" || last === "name") return unifiedValues(root, sources.builtin, words);
    if (keys.length === 5 && labelLists.has(last!)) return labelOptions(native, sources);
    if (keys.length === 6 && keys[4] === "match") return [...(metricOf(native, sources)?.labels.get(last!) ?? [])].map((label) => ({ label, kind: "value" }));
    if (keys.length === 6 && keys[4] === "since" && last === "shown_by") return [...(sources.instance?.metrics.keys() ?? [])].map((label) => ({ label, kind: "native" }));
    if (keys.length === 5 && (last === "since" || last === "until") && sources.instance?.version) return [{ label: sources.instance.version.replace(/\+.*/, ""), kind: "version", apply: JSON.stringify(sources.instance.version.replace(/\+.*/, "")) }];
  }
  return valuesAt(sources.schema ?? {}, path).map((label) => ({ label, kind: "value" }));
}

function unifiedValues(root: Item | undefined, builtin: Builtin | undefined, words: Words): Option[] {
  const own = unifiedOf(root);
  const options: Option[] = [...own].map(([label, u]) => ({ label, kind: "unified", detail: u.type, info: u.description, boost: 2 }));
  for (const [label, u] of builtin?.unified ?? []) if (!own.has(label)) options.push({ label, kind: "unified", detail: `${u.type}, ${words.builtIn}`, info: u.description });
  return options;
}

export interface About {
  from: number;
  to: number;
  title: string;
  lines: string[];
}

/** What is known of the word at a position, for those who point at it. */
export function about(text: string, pos: number, root: Item | undefined, sources: Sources, words: Words): About | undefined {
  const start = text.lastIndexOf("\n", pos - 1) + 1;
  const end = text.indexOf("\n", pos) < 0 ? text.length : text.indexOf("\n", pos);
  const stop = /["'\s,{}[\]]/;
  let from = pos;
  let to = pos;
  while (from > start && !stop.test(text[from - 1]!)) from--;
  while (to < end && !stop.test(text[to]!)) to++;
  if (text[to - 1] === ":") to--;
  const word = text.slice(from, to);
  const place = word === "" || pos > to ? undefined : placeAt(text, text[from - 1] === '"' || text[from - 1] === "'" ? from - 1 : from);
  if (!place) return undefined;
  const lines = aboutWord(word, place, /^["']?\s*:(\s|$)/.test(text.slice(to, end)) && place.part !== "value", root, sources, words);
  return lines.length === 0 ? undefined : { from, to, title: word, lines };
}

function aboutWord(word: string, { path }: Place, isKey: boolean, root: Item | undefined, sources: Sources, words: Words): string[] {
  const known = unifiedOf(root).get(word);
  const builtin = sources.builtin?.unified.get(word.replace(/_total$/, "")) ?? sources.builtin?.unified.get(word);
  const unified = known ?? builtin;
  const inMapping = path[0] === "runtime_mapping";
  if (unified && (inMapping || path[0] === "gpustack_metrics")) return [[unified.type, known ? "" : words.builtIn].filter(Boolean).join(", "), unified.description].filter(Boolean);
  if (inMapping && isKey && path.length === 3) {
    const metric = metricOf(word, sources);
    const report = metric && sources.instance?.reports.get(metric.name);
    const targets = targetsOf(report);
    return metric ? [metric.type, metric.help, targets.length > 0 ? words.becomes(targets.join(", ")) : (report?.why ?? "")].filter(Boolean) : [];
  }
  if (isKey && sources.schema) return [descriptionAt(sources.schema, [...path, word])].filter(Boolean);
  return [];
}
