// A time of the API as text, relative to now, with the absolute time in its title.
import { useEffect, useState } from "preact/hooks";
import { serverNow } from "../api/clock";
import { t } from "../texts";
import { absolute, age, duration, nextChange, time } from "./since";

interface TimeProps {
  at: string | number | undefined;
  /** Only the duration. */
  bare?: boolean;
  /** Other words than "3 min ago". */
  words?: (duration: string) => string;
}

export function Time({ at, bare, words }: TimeProps) {
  const ms = typeof at === "number" ? at : time(at);
  const clock = typeof at === "number" ? Date.now : serverNow; // numbers are this clock's
  const [now, set] = useState(clock);
  useEffect(() => {
    if (ms === undefined) return;
    const timer = setTimeout(() => set(clock()), nextChange(age(ms, now)));
    return () => clearTimeout(timer);
  }, [ms, now]);
  if (ms === undefined) return <span class="f-none">{t.fleet.none}</span>;
  const text = duration(age(ms, Math.max(now, clock() - 500)));
  return (
    <time dateTime={new Date(ms).toISOString()} title={absolute(ms)}>
      {bare ? text : (words ?? t.fleet.ago)(text)}
    </time>
  );
}
