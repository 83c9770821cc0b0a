import type { Labels } from "../model/panel";

/**
 * A series' name: the legend with "{{label}}" replaced by the label's value, or nothing where the series has none. Without a legend, as
 * Prometheus writes a series, but the value alone where there is one label. Empty without a legend and labels.
 */
export function seriesName(legend: string | undefined, labels: Labels): string {
  if (legend) return legend.replace(/\{\{\s*([^{}]+?)\s*\}\}/g, (_, label: string) => (Object.hasOwn(labels, label) ? labels[label]! : ""));
  const { __name__: metric = "", ...rest } = labels;
  const entries = Object.entries(rest);
  if (!metric && entries.length === 1) return entries[0]![1];
  if (!entries.length) return metric;
  return `${metric}{${entries.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join(", ")}}`;
}
