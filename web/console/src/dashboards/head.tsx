// The title of a dashboard, the way to the others, and what can be done with the page.
import type { Settings } from "../api/types";
import type { Dashboard } from "../model/dashboard";
import { t } from "../texts";
import { arrows, Popover } from "./popover";
import type { Listed } from "./source";
import { Tip } from "./tip";
import { carried, grafanaURL } from "./urls";

const text = t.shell;

interface Props {
  dashboard: Dashboard;
  list: readonly Listed[];
  settings: Settings | undefined;
  query: URLSearchParams;
  print(): void;
}

export function Head({ dashboard, list, settings, query, print }: Props) {
  const slug = list.find((d) => d.uid === dashboard.uid)?.slug ?? dashboard.uid;
  const grafana = settings?.grafana;
  return (
    <div class="head">
      <h1>{dashboard.title}</h1>
      <Tip label="i" name={text.about(dashboard.title)} className="about">
        {dashboard.description}
      </Tip>
      <span class="actions">
        <Popover button={<>{text.dashboards} ▾</>} end>
          {(close) => (
            <nav aria-label={text.dashboards} onKeyDown={(event) => arrows(event, "a")} onClick={close}>
              {list.map((d) => (
                <a key={d.uid} href={`/d/${d.uid}/${d.slug}${carried(query)}`} aria-current={d.uid === dashboard.uid ? "true" : undefined} title={d.description}>
                  {d.title}
                </a>
              ))}
            </nav>
          )}
        </Popover>
        <button type="button" onClick={print}>
          {text.print}
        </button>
        {grafana && (grafana.phase === "running" || grafana.phase === "external") && (
          <a class="button" href={grafanaURL(grafana.url, dashboard.uid, slug, query)}>
            {text.grafana}
          </a>
        )}
      </span>
    </div>
  );
}
