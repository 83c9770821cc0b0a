// The page's state is its URL. This file alone touches the browser's history.
import { useEffect, useState } from "preact/hooks";

const changed = new EventTarget();

export interface Place {
  path: string;
  query: URLSearchParams;
}

export function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Goes to a page of the console, or leaves for one of the server. */
export function go(url: string, replace = false): void {
  const to = new URL(url, location.href);
  if (to.origin !== location.origin || !isPage(to.pathname)) {
    location.assign(to);
    return;
  }
  history[replace ? "replaceState" : "pushState"](null, "", to);
  if (!replace) scrollTo(0, 0);
  changed.dispatchEvent(new Event("change"));
}

/** Changes the query of this page. */
export function setQuery(edit: (query: URLSearchParams) => void, replace = false): void {
  const query = here().query;
  edit(query);
  const text = query.toString();
  history[replace ? "replaceState" : "pushState"](null, "", location.pathname + (text ? "?" + text : ""));
  changed.dispatchEvent(new Event("change"));
}

/** The place of this page; the component draws itself again when it changes. */
export function usePlace(): Place {
  const [place, set] = useState(here);
  useEffect(() => {
    const follow = () => set(here());
    changed.addEventListener("change", follow);
    addEventListener("popstate", follow);
    return () => {
      changed.removeEventListener("change", follow);
      removeEventListener("popstate", follow);
    };
  }, []);
  return place;
}

/** The paths that internal/console answers with the console; everything else is the server's. */
export function isPage(path: string): boolean {
  return /^\/(?:$|d\/|dashboards$|doctor$|(?:models|instances|workers)(?:\/|$)|gpus$|mapping$)/.test(path);
}

/** Follows plain clicks on links to pages of the console without loading anew. */
export function followLinks(): void {
  addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]") as HTMLAnchorElement | null;
    if (!link || (link.target && link.target !== "_self") || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !isPage(to.pathname)) return;
    if (to.pathname === location.pathname && to.search === location.search && to.hash) return;
    event.preventDefault();
    go(to.href);
  });
}
