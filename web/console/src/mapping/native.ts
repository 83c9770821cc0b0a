// What completion and suggestions need to know of an engine's page.
import { familiesOf, linesOf, belongsTo, nameIn } from "./previewlines";

export interface NativeMetric {
  name: string;
  /** As the page declares it; "" if it declares none. */
  type: string;
  help: string;
  /** Label names with their values, at most mostValues of each, in the order of the page. */
  labels: Map<string, Set<string>>;
}

const mostValues = 50;

/** The metrics of a page by name. */
export function nativeMetrics(page: string): Map<string, NativeMetric> {
  const lines = linesOf(page);
  const all = new Map<string, NativeMetric>(familiesOf(lines).map((name) => [name, { name, type: "", help: "", labels: new Map() }]));
  const known = (name: string) => all.has(name);
  for (const line of lines) {
    const name = nameIn(line);
    const metric = all.get(belongsTo(name, known) ?? "");
    if (!metric) continue;
    if (line.startsWith("# TYPE ")) metric.type = line.slice(7 + name.length).trim();
    else if (line.startsWith("# HELP ")) metric.help = line.slice(7 + name.length).trim().replaceAll("\\n", " ");
    else if (!line.startsWith("#")) {
      for (const [label, value] of labelsIn(line)) {
        if ((label === "le" && metric.type === "histogram") || (label === "quantile" && metric.type === "summary")) continue;
        let values = metric.labels.get(label);
        if (!values) metric.labels.set(label, (values = new Set()));
        if (values.size < mostValues) values.add(value);
      }
    }
  }
  return all;
}

/** The labels of a sample. */
export function labelsIn(line: string): [string, string][] {
  const open = line.indexOf("{");
  if (open < 0) return [];
  const labels: [string, string][] = [];
  for (const [, name, value] of line.slice(open).matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/g)) {
    labels.push([name!, value!.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c))]);
  }
  return labels;
}
