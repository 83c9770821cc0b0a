// The dashboards as the server sends them: the same shape as dashboards/view.go.
import known from "./known.json";

export type Kind = "stat" | "bargauge" | "timeseries" | "table" | "heatmap" | "state-timeline" | "text";

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  from: string;
  refresh: string;
  variables: Variable[];
  annotations?: Annotation[];
  rows: Row[];
}

export interface Variable {
  name: string;
  label: string;
  query?: string;
  custom?: string[];
  text?: string;
  multi?: boolean;
  all?: boolean;
  hidden?: boolean;
}

export interface Annotation {
  name: string;
  expr: string;
  text: string;
  color: string;
  step: number; // seconds
  valueIsTime?: boolean;
}

export interface Row {
  title?: string;
  collapsed?: boolean;
  panels: Panel[];
}

export interface Panel {
  id: number;
  kind: Kind;
  title: string;
  description?: string;
  /** Columns of 24, and lines of 30 pixels, from the row's first line. */
  x: number;
  y: number;
  w: number;
  h: number;
  queries?: Query[];
  minStep?: string;
  markdown?: string;
  unit?: string;
  decimals?: number;
  min?: number;
  max?: number;
  thresholds?: Threshold[];
  values?: Value[];
  noValue?: string;
  stacked?: boolean;
  noLegend?: boolean;
  columns?: Column[];
  sortBy?: string;
  matrix?: Matrix;
  links?: Link[];
  overrides?: Override[];
  background?: boolean;
  sparkline?: boolean;
}

export interface Query {
  expr: string;
  /** Such as "{{worker_name}}"; absent: all labels. */
  legend?: string;
  instant?: boolean;
}

export interface Threshold {
  color: string;
  /** Absent: the base. */
  from?: number;
}

export interface Value {
  value: number;
  text: string;
  color?: string;
}

export interface Column {
  title: string;
  /** The column's name in placeholders of links. */
  field: string;
  label?: string;
  /** The query's number, from 1. */
  query?: number;
  unit?: string;
  decimals?: number;
  thresholds?: Threshold[];
  values?: Value[];
  width?: number;
  bar?: boolean;
  max?: number;
  background?: boolean;
  hidden?: boolean;
  link?: Link;
}

export interface Matrix {
  across: string;
  down: string;
  title: string;
  width?: number;
}

export interface Link {
  title: string;
  url: string;
}

interface Override {
  matching: string;
  /** By Grafana's property ids, those of known.json. */
  properties: Record<string, unknown>;
}

/** What the renderer does not know in a panel; empty if it knows everything. */
export function unknownIn(panel: Panel): string[] {
  const unknown: string[] = [];
  const check = (list: readonly string[], what: string, value: string | undefined) => {
    if (value !== undefined && value !== "" && !list.includes(value)) unknown.push(`${what} ${value}`);
  };
  for (const key of Object.keys(panel)) check(panelKeys, "option", key);
  check(known.kinds, "kind", panel.kind);
  for (const at of [panel, ...(panel.columns ?? [])]) {
    check(known.units, "unit", at.unit);
    for (const t of at.thresholds ?? []) check(known.colors, "color", t.color);
    for (const v of at.values ?? []) check(known.colors, "color", v.color);
  }
  for (const column of panel.columns ?? []) for (const key of Object.keys(column)) check(columnKeys, "column option", key);
  for (const o of panel.overrides ?? []) for (const id of Object.keys(o.properties)) check(known.overrides, "override", id);
  return unknown;
}

const panelKeys = [
  "id", "kind", "title", "description", "x", "y", "w", "h", "queries", "minStep", "markdown", "unit", "decimals", "min", "max", "thresholds", "values",
  "noValue", "stacked", "noLegend", "columns", "sortBy", "matrix", "links", "overrides", "background", "sparkline",
];
const columnKeys = ["title", "field", "label", "query", "unit", "decimals", "thresholds", "values", "width", "bar", "max", "background", "hidden", "link"];
