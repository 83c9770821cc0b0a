import "./fleet.css";
import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../app";
import { json } from "../api/request";
import { dashboardEntry, items, type DashboardEntry } from "../api/types";
import { l } from "../texts/lists";

const check = items(dashboardEntry);

export default function Page(_: PageProps) {
  const [entries, set] = useState<DashboardEntry[]>();
  const [error, fail] = useState<string>();
  useEffect(() => {
    document.title = `${l.dashboards} · stackscope`;
    const abort = new AbortController();
    json("/console/dashboards", check, { signal: abort.signal }).then(set, (e: unknown) => abort.signal.aborted || fail(e instanceof Error ? e.message : String(e)));
    return () => abort.abort();
  }, []);
  return (
    <div class="list-page">
      <h1>{l.dashboards}</h1>
      <p class="f-dim">{l.dashboardsAbout}</p>
      {error !== undefined && (
        <p class="f-notice bad" role="alert">
          {error}
        </p>
      )}
      {entries?.length === 0 && <p class="f-dim">{l.noDashboards}</p>}
      <ul class="f-dashboards">
        {entries?.map((d) => (
          <li key={d.uid}>
            <a href={d.uid === "stackscope-fleet" ? "/" : `/d/${encodeURIComponent(d.uid)}/${encodeURIComponent(d.slug || d.uid)}`}>{d.title}</a>
            <p>{d.description}</p>
          </li>
        ))}
      </ul>
    </div>
  );
}
