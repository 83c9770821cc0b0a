// Choosing the time range and how often to refresh.
import { useState } from "preact/hooks";
import type { Range } from "../model/panel";
import { t } from "../texts";
import { arrows, Popover } from "./popover";
import { absolute, isRelative, lastOf, localInput, parseTime, quickRanges, refreshes, shifted, widened, type TimeRange } from "./timerange";

const text = t.shell;

interface Props {
  time: TimeRange;
  range: Range;
  refresh: string;
  setTime(time: TimeRange): void;
  setRefresh(text: string): void;
  again(): void;
}

/** A time for reading, in the viewer's zone; the date only where it isn't today's. */
export function clock(seconds: number, now = Date.now()): string {
  const d = new Date(seconds * 1000);
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (d.toDateString() === new Date(now).toDateString()) return d.toLocaleTimeString("en-GB", time);
  return d.toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", ...time });
}

export function labelOf(time: TimeRange, range: Range): string {
  const last = lastOf(time);
  return last ? text.last(last) : text.range(clock(range.from), clock(range.to));
}

export function TimePicker({ time, range, refresh, setTime, setRefresh, again }: Props) {
  const now = () => Date.now() / 1000;
  return (
    <div class="time" role="group" aria-label={text.timeRange}>
      <button type="button" aria-label={text.earlier} title={text.earlier} onClick={() => setTime(shifted(range, -1, now()))}>
        ‹
      </button>
      <Popover button={labelOf(time, range)} name={`${text.timeRange}: ${labelOf(time, range)}`} className="range" end>
        {(close) => <Choice time={time} range={range} choose={(next) => (setTime(next), close())} />}
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

function Choice({ time, range, choose }: { time: TimeRange; range: Range; choose(time: TimeRange): void }) {
  const [custom, setCustom] = useState(lastOf(time) ? time.from : "");
  const [from, setFrom] = useState(localInput(range.from));
  const [to, setTo] = useState(localInput(range.to));
  const [wrong, setWrong] = useState("");
  const applyCustom = (event: Event) => {
    event.preventDefault();
    const words = custom.trim().replace(/^(?=\d+[smhdw]$)/, "now-");
    const at = parseTime(words, 2e9);
    if (at === undefined || at >= 2e9) setWrong(text.wrongTime);
    else choose({ from: words, to: "now" });
  };
  const applyBoth = (event: Event) => {
    event.preventDefault();
    const a = Date.parse(from) / 1000;
    const b = Date.parse(to) / 1000;
    if (!(a < b)) setWrong(text.wrongOrder);
    else choose(absolute({ from: a, to: b }));
  };
  return (
    <div class="choice">
      <div class="quick" role="group" aria-label={text.relative} onKeyDown={(event) => arrows(event, "button")}>
        {quickRanges.map((r) => (
          <button key={r} type="button" aria-current={time.from === r && time.to === "now"} onClick={() => choose({ from: r, to: "now" })}>
            {text.last(r.slice(4))}
          </button>
        ))}
      </div>
      <div>
        <form onSubmit={applyCustom}>
          <label>
            {text.custom} <span class="dim">{text.customHint}</span>
            <input value={custom} onInput={(event) => setCustom(event.currentTarget.value)} spellcheck={false} />
          </label>
          <button>{text.apply}</button>
        </form>
        <form onSubmit={applyBoth}>
          <p class="dim">{text.absolute}</p>
          <label>
            {text.from}
            <input type="datetime-local" step="1" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
          </label>
          <label>
            {text.to}
            <input type="datetime-local" step="1" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
          </label>
          <button>{text.apply}</button>
        </form>
        {wrong && (
          <p class="problem" role="alert">
            {wrong}
          </p>
        )}
      </div>
    </div>
  );
}
