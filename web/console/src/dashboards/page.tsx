// The page of a dashboard: it loads the dashboard, and shows its controls and rows.
import "./page.css";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { serverNow } from "../api/clock";
import { getSettings, useSettings } from "../api/settings";
import type { Settings } from "../api/types";
import type { Dashboard } from "../model/dashboard";
import { forget } from "../prometheus/client";
import { setQuery, type Place } from "../router";
import { t } from "../texts";
import { Busy, type Board, type Round } from "./board";
import { CursorBus } from "../charts/cursor";
import { loadDrawing } from "./drawings";
import { Head } from "./head";
import { useMarks, useRefresh, useVariables, useWidth } from "./hooks";
import { heightOf, panelOf } from "./layout";
import { PanelFrame } from "./panel";
import { usePrint } from "./print";
import { Rows } from "./rows";
import { loadDashboard, loadList, Missing, type Listed } from "./source";
import { absolute, isRelative, rangeOf, refreshOf, resolve, type TimeRange } from "./timerange";
import { valuesOf } from "./variables";
import { isReady } from "./data";
import { TimePicker } from "./timepicker";
import { VariableBar } from "./varbar";
import { write } from "./variables";

const text = t.shell;
const paperWidth = 712; // of A4 and Letter within the browsers' margins, in CSS pixels

/** Asks for what a dashboard's page needs first. Call it before anything is drawn. */
export function prefetch(uid: string): void {
  loadDashboard(uid).then(
    (d) => {
      for (const row of d.rows) if (!row.collapsed) for (const panel of row.panels) loadDrawing(panel.kind).catch(() => {});
    },
    () => {},
  );
  void getSettings();
}

export function DashboardPage({ uid, place }: { uid: string; place: Place }) {
  const [dashboard, setDashboard] = useState<Dashboard | undefined>();
  const settings = useSettings(); // undefined on an older server: panels ask, and say what is wrong
  const [list, setList] = useState<Listed[]>([]);
  const [failure, setFailure] = useState<Error | undefined>();
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let here = true;
    setFailure(undefined);
    loadDashboard(uid).then(
      (d) => here && setDashboard(d),
      (e: Error) => here && setFailure(e),
    );
    loadList().then(
      (l) => here && setList(l),
      () => {},
    );
    return () => {
      here = false;
    };
  }, [uid, tries]);
  useEffect(() => {
    if (dashboard) document.title = `${dashboard.title} · stackscope`;
  }, [dashboard]);
  if (failure) {
    return (
      <div class="dashboard">
        <div class="message alarm" role="alert">
          <strong>{failure instanceof Missing ? text.noDashboard(uid) : text.failed(failure.message)}</strong>
          <p>
            {failure instanceof Missing ? <a href="/dashboards">{text.allDashboards}</a> : <button onClick={() => setTries(tries + 1)}>{text.again}</button>}
          </p>
        </div>
      </div>
    );
  }
  if (!dashboard) return <div class="dashboard" aria-busy="true" />;
  return <Shown dashboard={dashboard} settings={settings} list={list} place={place} />;
}

function Shown({ dashboard, settings, list, place }: { dashboard: Dashboard; settings: Settings | undefined; list: Listed[]; place: Place }) {
  const { query } = place;
  const time = rangeOf(query, dashboard.from);
  const refresh = refreshOf(query, dashboard.refresh);
  const [tick, setTick] = useState(0);
  const rangeKey = `${time.from} ${time.to}`;
  const range = useMemo(() => resolve(time, Math.floor(serverNow() / 1000)), [rangeKey, tick]);
  const { chosen, failures } = useVariables(dashboard, query, range, rangeKey);
  const values = useMemo(() => valuesOf(chosen), [chosen]);
  const key = `${rangeKey} ${JSON.stringify(values)}`;
  const undecided = chosen.filter((c) => c.values.length === 0).map((c) => `${c.variable.name} ${c.options === undefined}`);
  const round = useMemo<Round>(() => {
    forget();
    return { range, time, values, chosen, key };
  }, [range, key, undecided.join()]);
  const shared = useRef({ busy: new Busy(), cursor: new CursorBus(), hidden: new Map<number, ReadonlySet<string>>() }).current;
  const again = () => setTick((n) => n + 1);
  useRefresh(isRelative(time) ? refresh.seconds : undefined, shared.busy, again);
  const off = query.get("marks-off") ?? "";
  const marks = useMarks(dashboard.annotations, off, round, dashboard.rows.every((r) => r.panels.every((p) => isReady(p, round))));
  const { printing, left, print } = usePrint(shared.busy);
  const [ref, measured] = useWidth();
  const pixels = printing ? paperWidth : measured;

  const setTime = (next: TimeRange) =>
    setQuery((q) => {
      q.set("from", next.from);
      q.set("to", next.to);
    });
  const board = useMemo<Board>(
    () => ({ ...shared, round, chosen, marks, printing, zoom: (r) => setTime(absolute(r)), ...(settings && { settings }) }),
    [shared, round, chosen, marks, printing, settings],
  );

  const unavailable = settings && !settings.prometheus.available ? settings.prometheus.reason : undefined;
  const view = query.get("viewPanel");
  const full = view === null ? undefined : panelOf(dashboard.rows, Number(view));
  useEffect(() => {
    if (!full) return;
    const leave = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented) setQuery((q) => q.delete("viewPanel"));
    };
    addEventListener("keydown", leave);
    return () => removeEventListener("keydown", leave);
  }, [full]);

  return (
    <div class={full ? "dashboard full" : "dashboard"}>
      <Head dashboard={dashboard} list={list} settings={settings} query={query} print={print} />
      <div class="controls" role="group" aria-label={text.controls}>
        <VariableBar chosen={chosen} failures={unavailable === undefined ? failures : new Map()} set={(name, next) => setQuery((q) => write(q, dashboard.variables, name, next))} />
        {dashboard.annotations && <Marks names={dashboard.annotations.map((a) => a.name)} off={off} />}
        <TimePicker
          time={time}
          range={range}
          refresh={refresh.text}
          setTime={setTime}
          setRefresh={(r) => setQuery((q) => q.set("refresh", r), true)}
          again={again}
        />
      </div>
      {unavailable !== undefined && (
        <p class="problem" role="status">
          {text.noPrometheus(unavailable)}
        </p>
      )}
      {left !== undefined && (
        <p role="status" class="printing">
          {text.printing(left)}
        </p>
      )}
      <div ref={ref} class="panels">
        {full ? (
          <>
            <button class="leave" onClick={() => setQuery((q) => q.delete("viewPanel"))}>
              {text.leaveFull}
            </button>
            <PanelFrame key={`full ${full.id}`} panel={full} board={board} width={pixels} height={Math.max(heightOf(full.h), innerHeight - 210)} early first full />
          </>
        ) : (
          <Rows rows={dashboard.rows} board={board} pixels={pixels} />
        )}
      </div>
    </div>
  );
}

/** Switches of the annotations. */
function Marks({ names, off }: { names: string[]; off: string }) {
  const list = off.split(",").filter(Boolean);
  const toggle = (name: string) =>
    setQuery((q) => {
      const next = list.includes(name) ? list.filter((n) => n !== name) : [...list, name];
      if (next.length > 0) q.set("marks-off", next.join(","));
      else q.delete("marks-off");
    }, true);
  return (
    <fieldset class="marks">
      <legend class="hidden-text">{text.marks}</legend>
      {names.map((name) => (
        <label key={name}>
          <input type="checkbox" checked={!list.includes(name)} onChange={() => toggle(name)} />
          {name}
        </label>
      ))}
    </fieldset>
  );
}
