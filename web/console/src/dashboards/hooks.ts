// State of a dashboard's page: options of variables, refreshes, marks, sizes.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Annotation, Dashboard } from "../model/dashboard";
import type { Mark, Range } from "../model/panel";
import { labelValues, overTime } from "../prometheus/client";
import { asFailure, type QueryError } from "../prometheus/failure";
import { allowedStep } from "../prometheus/step";
import { fill } from "../prometheus/template";
import type { Busy, Round } from "./board";
import { marksOf } from "./marks";
import { chooseAll, decided, type Chosen } from "./variables";

interface Options {
  values?: string[];
  failure?: QueryError;
  stamp: string;
}

/** The variables as they are chosen now, and which options could not be read. */
export function useVariables(dashboard: Dashboard, query: URLSearchParams, range: Range, rangeKey: string): { chosen: Chosen[]; failures: Map<string, QueryError> } {
  const known = useRef(new Map<string, Options>());
  const [version, changed] = useState(0);
  const stamp = `${rangeKey} ${Math.floor(range.to / 60)}`; // options are read again once a minute
  const { chosen, asks } = useMemo(
    () => chooseAll(dashboard.variables, query, range.to - range.from, (key) => known.current.get(key)?.values),
    [dashboard, query.toString(), rangeKey, version],
  );
  useLayoutEffect(() => {
    for (const ask of asks) {
      const old = known.current.get(ask.key);
      if (old?.stamp === stamp) continue;
      known.current.set(ask.key, { ...old, stamp });
      labelValues(ask.selector, ask.label, range).then(
        (values) => {
          if (known.current.get(ask.key)?.stamp !== stamp) return; // a later range has been asked for
          known.current.set(ask.key, { values, stamp });
          if (JSON.stringify(values) !== JSON.stringify(old?.values) || old?.failure) changed((n) => n + 1);
        },
        (thrown: unknown) => {
          if (known.current.get(ask.key)?.stamp !== stamp) return;
          known.current.set(ask.key, { ...old, failure: asFailure(thrown), stamp });
          changed((n) => n + 1);
        },
      );
    }
  }, [asks, stamp]);
  const failures = new Map<string, QueryError>();
  for (const ask of asks) {
    const failure = known.current.get(ask.key)?.failure;
    if (failure && !decided(chosen.find((c) => c.variable.name === ask.name)!)) failures.set(ask.name, failure);
  }
  return { chosen, failures };
}

/** Calls again every so many seconds while the page is visible and nothing is being loaded. */
export function useRefresh(seconds: number | undefined, busy: Busy, again: () => void): void {
  const call = useRef(again);
  call.current = again;
  useEffect(() => {
    if (seconds === undefined) return;
    let last = Date.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = () => {
      clearTimeout(timer);
      timer = undefined;
      if (document.hidden) return; // visibilitychange goes on
      const left = last + seconds * 1000 - Date.now();
      if (left <= 0 && busy.count === 0) {
        last = Date.now();
        call.current();
      }
      timer = setTimeout(look, Math.max(250, last + seconds * 1000 - Date.now()));
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [seconds, busy]);
}

/** The marks of the annotations that are on, asked for with each refresh. */
export function useMarks(annotations: readonly Annotation[] | undefined, off: string, round: Round, ready: boolean): Mark[] {
  const [marks, set] = useState<Mark[]>([]);
  useEffect(() => {
    const on = (annotations ?? []).filter((a) => !off.split(",").includes(a.name));
    if (!ready) return;
    if (on.length === 0) {
      set((old) => (old.length === 0 ? old : []));
      return;
    }
    const abort = new AbortController();
    void Promise.allSettled(
      on.map(async (a) => {
        const step = allowedStep(round.range, a.step);
        const answer = await overTime(fill(a.expr, round.values, round.range.to - round.range.from, step), round.range, step, abort.signal);
        return marksOf({ ...a, step }, answer.series, round.range);
      }),
    ).then((results) => {
      if (abort.signal.aborted) return;
      const next = results.flatMap((r) => (r.status === "fulfilled" ? r.value : []));
      set((old) => (JSON.stringify(old) === JSON.stringify(next) ? old : next));
    });
    return () => abort.abort();
  }, [annotations, off, round, ready]);
  return marks;
}

/** The width of an element, followed; before it is there, what the window allows. */
export function useWidth(): [(element: HTMLElement | null) => void, number] {
  const [width, set] = useState(() => document.documentElement.clientWidth - 2 * pagePadding());
  const observer = useRef<ResizeObserver | undefined>(undefined);
  const ref = useMemo(
    () => (element: HTMLElement | null) => {
      observer.current?.disconnect();
      if (!element) return;
      const measure = () => {
        if (element.clientWidth > 0) set(Math.round(element.clientWidth)); // 0 while the page is not laid out
      };
      measure();
      observer.current = new ResizeObserver(measure);
      observer.current.observe(element);
    },
    [],
  );
  return [ref, width];
}

/** The page's padding, as in page.css. */
function pagePadding(): number {
  return document.documentElement.clientWidth < 600 ? 8 : 16;
}

const sights = new Map<Element, (visible: boolean) => void>();
let sightObserver: IntersectionObserver | undefined;

/** Tells whether an element is in sight or close to it. One observer serves all. */
export function watchSight(element: Element, tell: (visible: boolean) => void): () => void {
  sightObserver ??= new IntersectionObserver((entries) => entries.forEach((e) => sights.get(e.target)?.(e.isIntersecting)), { rootMargin: "200px 0px" });
  sights.set(element, tell);
  sightObserver.observe(element);
  return () => {
    sights.delete(element);
    sightObserver?.unobserve(element);
  };
}

/** The marks that a panel shows: graphs alone have room for them. */
export const marked = new Set(["timeseries", "heatmap", "state-timeline"]);
