// Many lines of text, of which only those in sight are drawn.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { m } from "../texts/mapping";
import { windowOf } from "./previewwindow";

export interface Row {
  text: string;
  /** Classes of the line. */
  className: string;
  /** A sign before the line, and what it means. */
  sign: string;
  says: string;
}

interface Props {
  id: string;
  label: string;
  rows: readonly Row[];
  /** What chose the rows: another filter shows them from their beginning, or the chosen one. */
  filter: string;
  /** Index of the chosen row; -1: none. */
  chosen: number;
  /** Rows that belong to what is chosen or pointed at on the other side. */
  isRelated(index: number): boolean;
  /** The row that is brought into sight when `reveal.count` changes. */
  reveal: { index: number; count: number };
  choose(index: number): void;
  point(index: number | undefined): void;
  enter(index: number): void;
}

const lineHeight = 19; // pixels; .m-line has it
const overscan = 15;

export function Pane({ id, label, rows, filter, chosen, isRelated, reveal, choose, point, enter }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [{ top, height }, see] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const look = () => see((before) => (before.top === element.scrollTop && before.height === element.clientHeight ? before : { top: element.scrollTop, height: element.clientHeight }));
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  const widest = useMemo(() => rows.reduce((n, row) => Math.max(n, row.text.length), 0), [rows]);
  const bring = (index: number, center: boolean) => {
    const element = box.current;
    if (!element || index < 0) return;
    const from = index * lineHeight;
    if (from >= element.scrollTop && from + lineHeight <= element.scrollTop + element.clientHeight) return;
    element.scrollTop = center ? from - element.clientHeight / 3 : from < element.scrollTop ? from : from + lineHeight - element.clientHeight;
  };
  const filteredBy = useRef(filter);
  useLayoutEffect(() => {
    if (filteredBy.current === filter) return;
    filteredBy.current = filter;
    if (box.current) box.current.scrollTop = 0;
    bring(chosen, true);
  }, [filter]);
  useEffect(() => bring(reveal.index, true), [reveal.count]);
  const { from, to } = windowOf(top, height, rows.length, lineHeight, overscan);
  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || rows.length === 0) return;
    const page = Math.max(1, Math.floor(height / lineHeight) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      const index = Math.max(0, Math.min(rows.length - 1, chosen < 0 && Number.isFinite(by) ? from + overscan * Number(from > 0) : chosen + by));
      choose(index);
      bring(index, false);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      enter(chosen);
    }
  };
  const shown = rows.slice(from, to);
  return (
    <div
      ref={box}
      class="m-pane"
      tabIndex={0}
      role="listbox"
      aria-label={label}
      aria-describedby={`${id}-help`}
      aria-activedescendant={chosen >= from && chosen < to ? `${id}-${chosen}` : undefined}
      onKeyDown={key}
      onPointerMove={(event) => {
        // A pointer that rests while lines pass under it points at none of them.
        const at = Number((event.target as Element).closest("[role=option]")?.getAttribute("aria-posinset") ?? 0);
        point(at > 0 ? at - 1 : undefined);
      }}
      onPointerLeave={() => point(undefined)}
    >
      <span id={`${id}-help`} hidden>
        {m.paneHelp}
      </span>
      <div class="m-lines" role="presentation" style={{ height: `${rows.length * lineHeight}px`, width: `calc(${widest}ch + 34px)` }}>
        {shown.map((row, i) => {
          const index = from + i;
          return (
            <div
              key={index}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === chosen}
              aria-setsize={rows.length}
              aria-posinset={index + 1}
              class={`m-line ${row.className}${isRelated(index) ? " related" : ""}${index === chosen ? " chosen" : ""}`}
              style={{ top: `${index * lineHeight}px` }}
              onClick={() => choose(index)}
            >
              <span class="m-sign" aria-hidden="true">
                {row.sign}
              </span>
              {row.says !== "" && <span class="hidden-text">{row.says} </span>}
              {row.text}
            </div>
          );
        })}
      </div>
    </div>
  );
}
