// Choosing the time range and how often to refresh.
import { serverNow } from "../api/clock";
import type { Range } from "../model/panel";
import { t } from "../texts";
import { Later, Popover } from "./popover";
import { isRelative, lastOf, refreshes, shifted, widened, type TimeRange } from "./timerange";

const text = t.shell;

interface Props {
  time: TimeRange;
  range: Range;
  refresh: string;
  setTime(time: TimeRange): void;
  setRefresh(text: string): void;
  again(): void;
}

const loadChoice = () => import("./timechoice").then((m) => m.TimeChoice);

/** A time for reading, in the viewer's zone; the date only where it isn't today's. */
export function clock(seconds: number, now = Date.now()): string {
  const d = new Date(seconds * 1000);
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (d.toDateString() === new Date(now).toDateString()) return d.toLocaleTimeString(t.format.dates, time);
  return d.toLocaleString(t.format.dates, { day: "numeric", month: t.format.month, year: "numeric", ...time });
}

function labelOf(time: TimeRange, range: Range): string {
  const last = lastOf(time);
  return last ? text.last(last) : text.range(clock(range.from), clock(range.to));
}

export function TimePicker({ time, range, refresh, setTime, setRefresh, again }: Props) {
  const now = () => serverNow() / 1000;
  return (
    <div class="time" role="group" aria-label={text.timeRange}>
      <button type="button" aria-label={text.earlier} title={text.earlier} onClick={() => setTime(shifted(range, -1, now()))}>
        ‹
      </button>
      <Popover button={labelOf(time, range)} name={`${text.timeRange}: ${labelOf(time, range)}`} className="range" end>
        {(close) => <Later load={loadChoice} props={{ time, range, choose: (next: TimeRange) => (setTime(next), close()) }} />}
      </Popover>
      <button type="button" aria-label={text.later} title={text.later} disabled={time.to === "now"} onClick={() => setTime(shifted(range, 1, now()))}>
        ›
      </button>
      <button type="button" aria-label={text.zoomOut} title={text.zoomOut} onClick={() => setTime(widened(range, now()))}>
        −
      </button>
      <button type="button" aria-label={text.refresh} title={text.refresh} onClick={again}>
        ⟳
      </button>
      <select
        aria-label={text.refreshEvery}
        title={isRelative(time) ? text.refreshEvery : text.fixedRange}
        disabled={!isRelative(time)}
        value={refresh}
        onChange={(event) => setRefresh(event.currentTarget.value)}
      >
        {[...new Set([...refreshes, refresh])].map((r) => (
          <option key={r} value={r} selected={r === refresh}>
            {r === "off" ? text.off : r}
          </option>
        ))}
      </select>
    </div>
  );
}
