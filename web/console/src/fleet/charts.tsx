// Small charts of a page: the drawings of dashboards with panels of the page's own.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { stateTimeline, timeseries } from "../charts";
import { CursorBus } from "../charts/cursor";
import { Boundary } from "../dashboards/states";
import { useTheme } from "../look/theme";
import type { Panel } from "../model/dashboard";
import type { Cursor, Drawing, PanelData } from "../model/panel";
import { rateInterval } from "../prometheus/step";
import { setQuery, type Place } from "../router";
import { l } from "../texts/lists";
import { rangeAt, useMetrics } from "./metrics";
import { MetricsNotice, useHasMetrics } from "./parts";
import { firstRange, rangeOf, ranges, setRange, setZoom } from "./timerange";

/** Lines without a fill, where several overlap. */
export const thin = { overrides: [{ matching: ".*", properties: { "custom.fillOpacity": 0 } }] };

/** A chart: w is the window of rates at the range's step. */
export interface Chart {
  title: string;
  kind?: "timeseries" | "state-timeline";
  wide?: boolean;
  /** Of the body, in CSS pixels. */
  height?: number;
  panel?: Partial<Panel>;
  queries: (w: string) => { expr: string; legend: string }[];
}

const drawings: Record<string, Drawing> = { timeseries, "state-timeline": stateTimeline };
const points = 120;

export function Charts({ place, charts }: { place: Place; charts: readonly Chart[] }) {
  const metrics = useHasMetrics();
  const chosen = rangeOf(place.query);
  const { step } = rangeAt(0, chosen.seconds, points, chosen.fixed);
  const window = rateInterval(step);
  const queries = useMemo(() => charts.map((c) => c.queries(window)), [charts, window]);
  const asked = useMetrics(metrics ? queries.flat().map((q) => q.expr) : [], chosen.seconds, points, chosen.fixed);
  const cursor = useMemo(() => new CursorBus(), []);
  let next = 0;
  const shown = charts.map((chart, i) => {
    const own = queries[i]!;
    const answers = asked.answers?.slice(next, next + own.length);
    next += own.length;
    const data: PanelData | undefined = answers && answers.length === own.length ? { answers, range: asked.range, step: asked.step, marks: [] } : undefined;
    return { chart, own, data, empty: data !== undefined && data.answers.every((series) => series.length === 0), id: i + 1 };
  });
  const missing = shown.filter((s) => s.empty).map((s) => s.chart.title);
  return (
    <section>
      <div class="f-section-head">
        <h2>{l.charts}</h2>
        <div class="f-ranges" role="group" aria-label={l.range}>
          {chosen.fixed && <button onClick={() => setQuery((q) => setRange(q, firstRange))}>{l.zoomOut}</button>}
          {Object.keys(ranges).map((name) => (
            <button key={name} aria-pressed={chosen.name === name} onClick={() => setQuery((q) => setRange(q, name), true)}>
              {l.ranges[name]}
            </button>
          ))}
        </div>
      </div>
      <MetricsNotice error={asked.error} />
      {metrics && (
        <div class="f-charts">
          {shown.map((s) => !s.empty && <OneChart key={s.chart.title} id={s.id} chart={s.chart} queries={s.own} data={s.data} cursor={cursor} />)}
        </div>
      )}
      {missing.length > 0 && <p class="f-dim">{missing.length === charts.length ? l.noData : l.missingCharts(missing.join(", "))}</p>}
    </section>
  );
}

interface OneProps {
  id: number;
  chart: Chart;
  queries: { expr: string; legend: string }[];
  data: PanelData | undefined;
  cursor: Cursor;
}

function OneChart({ id, chart, queries, data, cursor }: OneProps) {
  const body = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const theme = useTheme();
  useEffect(() => {
    const box = body.current;
    if (!box) return;
    const watch = new ResizeObserver(() => setSize({ width: box.clientWidth, height: box.clientHeight }));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  const kind = chart.kind ?? "timeseries";
  const panel: Panel = { id, kind, title: chart.title, x: 0, y: 0, w: 8, h: 7, min: 0, ...chart.panel, queries };
  const Drawn = drawings[kind]!.component;
  return (
    <section class={chart.wide ? "f-own-chart wide" : "f-own-chart"} aria-label={chart.title}>
      <h3>{chart.title}</h3>
      <div class="f-body" ref={body} style={chart.height === undefined ? undefined : { height: `${chart.height}px` }}>
        {data && size.width > 0 && (
          <Boundary of={data} broken={(why) => <p class="f-nothing">{`${l.chartFailed}: ${why}`}</p>}>
            <Drawn
              panel={panel}
              data={data}
              width={size.width}
              height={size.height}
              theme={theme}
              link={() => undefined}
              zoom={(range) => setQuery((q) => setZoom(q, range))}
              cursor={cursor}
              hidden={hidden}
              setHidden={setHidden}
              note={() => undefined}
              full={false}
            />
          </Boundary>
        )}
      </div>
    </section>
  );
}
