// Chooses the page. Pages other than dashboards are loaded when somebody goes there.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { DashboardPage, prefetch } from "./dashboards/page";
import { Footer, Header } from "./fleet/header";
import { here, usePlace, type Place } from "./router";
import { t } from "./texts";

const fleetUID = "stackscope-fleet";

export interface PageProps {
  place: Place;
}

const later: [RegExp, () => Promise<{ default: ComponentType<PageProps> }>][] = [
  [/^\/dashboards$/, () => import("./fleet/dashboards")],
  [/^\/doctor$/, () => import("./doctor/page")],
  [/^\/models(\/|$)/, () => import("./fleet/models")],
  [/^\/instances(\/|$)/, () => import("./fleet/instances")],
  [/^\/workers(\/|$)/, () => import("./fleet/workers")],
  [/^\/gpus$/, () => import("./fleet/gpus")],
  [/^\/mapping$/, () => import("./mapping/page")],
];

/** The dashboard of a path; undefined if it is another page's. */
function dashboardOf(path: string): string | undefined {
  if (path === "/") return fleetUID;
  const uid = /^\/d\/([^/]+)/.exec(path)?.[1];
  try {
    return uid && decodeURIComponent(uid);
  } catch {
    return uid; // no UTF-8
  }
}

const first = dashboardOf(here().path);
if (first !== undefined) prefetch(first); // the requests leave before anything is drawn

export function App() {
  const place = usePlace();
  const uid = dashboardOf(place.path);
  return (
    <>
      <Header place={place} />
      <main id="content">{uid !== undefined ? <DashboardPage key={uid} uid={uid} place={place} /> : <LaterPage place={place} />}</main>
      <Footer />
    </>
  );
}

function LaterPage({ place }: PageProps) {
  const [loaded, set] = useState<{ load: unknown; Page?: ComponentType<PageProps> }>();
  const load = later.find(([path]) => path.test(place.path))?.[1];
  useEffect(() => {
    if (!load) return;
    let here = true;
    load().then(
      (m) => here && set({ load, Page: m.default }),
      () => here && set({ load }),
    );
    return () => {
      here = false;
    };
  }, [load]);
  if (!loaded || loaded.load !== load) return null;
  if (loaded.Page) return <loaded.Page place={place} />;
  return (
    <div class="message alarm" role="alert">
      <strong>{t.fleet.notLoaded}</strong>
      <p>
        {t.fleet.notLoadedWhy} <button onClick={() => location.reload()}>{t.fleet.reload}</button>
      </p>
    </div>
  );
}
