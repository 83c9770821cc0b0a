// The box of the time picker. Loaded when somebody opens it.
import { useState } from "preact/hooks";
import type { Range } from "../model/panel";
import { t } from "../texts";
import { arrows } from "./popover";
import { absolute, lastOf, localInput, parseTime, quickRanges, type TimeRange } from "./timerange";

const text = t.shell;

export function TimeChoice({ time, range, choose }: { time: TimeRange; range: Range; choose(time: TimeRange): void }) {
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
