// URLs of the same data elsewhere: other dashboards, Prometheus' own page, Grafana.
import type { Range } from "../model/panel";
import { lengthOf } from "./timerange";

/** The URL of queries in Prometheus' page below a base such as "/prometheus/", a tab for each; fixed: the range does not end now. */
export function prometheusURL(base: string, queries: readonly { expr: string; instant: boolean }[], range: Range, fixed: boolean): string {
  const q = new URLSearchParams();
  const end = new Date(range.to * 1000).toISOString().slice(0, 19).replace("T", " ");
  queries.forEach(({ expr, instant }, i) => {
    q.set(`g${i}.expr`, expr);
    q.set(`g${i}.tab`, instant ? "table" : "graph");
    q.set(`g${i}.range_input`, lengthOf(range));
    if (fixed) q.set(instant ? `g${i}.moment_input` : `g${i}.end_input`, end);
  });
  return `${base.replace(/\/?$/, "/")}query?${q}`;
}

/** What another dashboard takes over: the cluster, the time and the refresh. */
export function carried(query: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const [name, value] of query) if (["var-cluster_name", "from", "to", "refresh"].includes(name)) kept.append(name, value);
  const all = kept.toString();
  return all ? "?" + all : "";
}

/** The same dashboard with the same variables and range in Grafana. */
export function grafanaURL(base: string, uid: string, slug: string, query: URLSearchParams): string {
  const kept = new URLSearchParams(query);
  kept.delete("marks-off");
  const all = kept.toString();
  return `${base.replace(/\/?$/, "/")}d/${uid}/${slug}${all ? "?" + all : ""}`;
}
