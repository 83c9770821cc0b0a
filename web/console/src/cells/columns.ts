// The columns of a table with all that applies to them, and what a cell of them shows.
import { format, mapped, thresholdColor, type Meaning } from "../format";
import type { Column, Link, Panel, Threshold } from "../model/dashboard";
import type { Row } from "./merge";
import { natural } from "./sort";

export interface Shown {
  title: string;
  /** The name in placeholders of links. */
  field: string;
  value(row: Row): number | string | undefined;
  /** Numbers are to the right, unless align says otherwise. */
  numeric: boolean;
  align?: "left" | "center" | "right";
  unit?: string | undefined;
  decimals?: number | undefined;
  thresholds?: readonly Threshold[] | undefined;
  meanings?: readonly Meaning[] | undefined;
  /** What a colour applies to. */
  paints?: "text" | "background" | "bar";
  width?: number | undefined;
  /** Of a bar. */
  max?: number | undefined;
  /** Where a value is absent. */
  noValue: string;
  hidden?: boolean;
  link?: Link | undefined;
}

/** What a cell shows; colour by Grafana's name. */
interface Cell {
  text: string;
  color?: string | undefined;
  absent?: boolean;
  /** Share of the bar that is filled, 0 to 1. */
  share?: number;
}

export const dash = "-";

/** The columns of a panel. A matrix gets them from its rows. */
export function columnsOf(panel: Panel, rows: readonly Row[]): Shown[] {
  const matrix = panel.matrix;
  if (!matrix) return (panel.columns ?? []).map((c) => overridden(panel, columnOf(panel, c)));
  const first: Shown = { title: matrix.title, field: matrix.down, value: (row) => row.labels[matrix.down], numeric: false, width: matrix.width, noValue: "" };
  const names = new Set<string>();
  for (const row of rows) for (const name of Object.keys(row.cells ?? {})) names.add(name);
  const rest = [...names].sort(natural).map((name): Shown => ({
    title: name,
    field: name,
    value: (row) => row.cells?.[name],
    numeric: true,
    unit: panel.unit,
    decimals: panel.decimals,
    thresholds: panel.thresholds,
    meanings: panel.values,
    noValue: dash,
  }));
  return [first, ...rest].map((c) => overridden(panel, c));
}

function columnOf(panel: Panel, c: Column): Shown {
  const query = c.query;
  const shown: Shown = {
    title: c.title,
    field: c.field,
    value: c.label ? (row) => row.labels[c.label!] : (row) => row.values[(query ?? 1) - 1],
    numeric: !c.label,
    unit: c.unit,
    decimals: c.decimals,
    thresholds: c.thresholds ?? panel.thresholds,
    meanings: c.values,
    width: c.width,
    max: c.max,
    noValue: c.label ? "" : dash,
    hidden: c.hidden ?? false,
    link: c.link,
  };
  if (c.bar) shown.paints = "bar";
  else if (c.background) shown.paints = "background";
  else if (c.thresholds?.length || c.values?.length) shown.paints = "text";
  return shown;
}

/** Applies the panel's overrides, which name columns by title or field. */
function overridden(panel: Panel, c: Shown): Shown {
  for (const { matching, properties } of panel.overrides ?? []) {
    const pattern = new RegExp(matching);
    if (!pattern.test(c.title) && (panel.matrix || !pattern.test(c.field))) continue; // a matrix' first field has no name of its own
    for (const [id, value] of Object.entries(properties)) override(c, id, value);
  }
  return c;
}

function override(c: Shown, id: string, value: any): void {
  switch (id) {
    case "custom.align":
      if (value !== "auto") c.align = value;
      break;
    case "custom.cellOptions":
      if (value.type === "color-text") c.paints = "text";
      else if (value.type === "color-background") c.paints = "background";
      else if (value.type === "gauge") c.paints = "bar";
      else delete c.paints;
      break;
    case "mappings":
      c.meanings = meaningsOf(value);
      break;
    case "thresholds":
      c.thresholds = thresholdsOf(value);
      break;
    case "noValue":
      c.noValue = value;
  }
}

/** The mappings of single values in Grafana's form; labels have their texts as keys. */
export function meaningsOf(mappings: any): Meaning[] {
  const list: Meaning[] = [];
  for (const { type, options } of mappings ?? []) {
    if (type !== "value") continue;
    for (const [key, { text, color }] of Object.entries<any>(options)) {
      const value = key.trim() !== "" && Number.isFinite(Number(key)) ? Number(key) : key;
      list.push({ value, text: text ?? key, color });
    }
  }
  return list;
}

/** Thresholds in Grafana's form. */
export function thresholdsOf({ steps }: any): Threshold[] {
  return steps.map((s: any) => (typeof s.value === "number" ? { color: s.color, from: s.value } : { color: s.color }));
}

export function alignOf(c: Shown): "left" | "center" | "right" {
  return c.align ?? (c.numeric && c.paints !== "bar" ? "right" : "left");
}

/** What a column shows of a row. */
export function cellOf(c: Shown, row: Row): Cell {
  const v = c.value(row);
  if (v === undefined || v === "" || Number.isNaN(v)) return { text: c.noValue, absent: true };
  const meaning = mapped(c.meanings, v);
  const text = meaning?.text ?? (typeof v === "number" ? format(v, c.unit, c.decimals) : v);
  if (!c.paints) return { text };
  const color = meaning?.color ?? (typeof v === "number" ? thresholdColor(c.thresholds, v) : undefined);
  if (c.paints !== "bar") return { text, color };
  const share = typeof v === "number" ? Math.min(1, Math.max(0, v / (c.max || 1))) : 0;
  return { text, color: color ?? "blue", share };
}

/** The row's fields for placeholders of links: every label, and every column by its field. */
export function fieldsOf(columns: readonly Shown[], row: Row): Record<string, string> {
  const fields: Record<string, string> = { ...row.labels };
  for (const c of columns) {
    const v = c.value(row);
    if (v !== undefined) fields[c.field] = String(v);
  }
  return fields;
}

/** A link's title with the row's fields. */
export function titleOf(link: Link, fields: Readonly<Record<string, string>>): string {
  return link.title.replace(/\$\{__data\.fields\.([^}]+)\}/g, (_, name: string) => fields[name] ?? "");
}

/**
 * A link's URL with the fields that hold more than one value, such as "default&var-worker_name=node-1" of the active problems: they are
 * filled in as variables of their own. Other placeholders stay.
 */
export function withVariables(url: string, fields: Readonly<Record<string, string>>): string {
  return url.replace(/\$\{__data\.fields\.([^}]+)\}/g, (whole, name: string) => {
    const [first, ...more] = (fields[name] ?? "").split(/&(?=var-\w+=)/);
    if (!more.length) return whole;
    const filled = more.map((variable) => variable.replace(/=(.*)$/s, (_, value: string) => "=" + encodeURIComponent(value)));
    return [encodeURIComponent(first!), ...filled].join("&");
  });
}
