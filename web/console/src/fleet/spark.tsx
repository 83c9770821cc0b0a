import { format } from "../format";
import type { Series } from "../model/panel";
import { l } from "../texts/lists";
import type { Asked } from "./metrics";
import { newest, sparkPath } from "./sparkline";

const width = 72;
const height = 20;

/** A line of the last half hour with the newest value beside it. */
export function Spark({ series, asked, unit, decimals, most, what }: { series: Series | undefined; asked: Asked; unit: string; decimals?: number; most?: number; what: string }) {
  const path = series ? sparkPath(series, asked.range.from, asked.range.to, asked.step, width, height, most) : "";
  if (!series || path === "") {
    return (
      <span class="f-none" title={asked.answers ? l.notMeasured : undefined}>
        {l.none}
      </span>
    );
  }
  const now = newest(series, asked.range.to, asked.step);
  const text = now === undefined ? l.none : format(now, unit, decimals);
  return (
    <span class="f-spark" role="img" aria-label={l.sparkline(what, text)} title={l.sparkline(what, text)}>
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} aria-hidden="true">
        <path d={path} fill="none" stroke="var(--accent)" stroke-width="1.3" stroke-linejoin="round" />
      </svg>
      <span>{text}</span>
    </span>
  );
}
