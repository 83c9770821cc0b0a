// What lies on a chart's picture: the cursor's line, the selection, the marked value; pointer, touch and keyboard.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Cursor, Range } from "../model/panel";
import { t } from "../texts";
import { focusTooltip, hideTooltip, inTooltip, showTooltip, spoken, type Content } from "./tooltip";

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A length for a style: Preact 11 adds no unit to numbers. */
export const px = (length: number) => `${length}px`;

interface SurfaceProps {
  /** The plotting area within the parent. */
  plot: Box;
  range: Range;
  /** Seconds that an arrow key moves. */
  step: number;
  cursor: Cursor;
  zoom(range: Range): void;
  /** What the chart shows, for readers of its text. */
  label: string;
  /** What is at a time and a height in pixels of the plotting area; undefined: nothing. */
  inspect(time: number, y: number): Content | undefined;
  /** Heights that up and down keys go through. */
  heights(time: number): number[];
  /** The picture. */
  children?: ComponentChildren;
}

interface Drag {
  anchor: number; // seconds
  now: number;
  x: number; // where it began, pixels
  moved: boolean;
}

export function Surface(props: SurfaceProps) {
  const root = useRef<HTMLDivElement>(null);
  const line = useRef<HTMLDivElement>(null);
  const band = useRef<HTMLDivElement>(null);
  const dot = useRef<HTMLDivElement>(null);
  const live = useRef<HTMLDivElement>(null);
  const state = useRef<SurfaceState>(null);
  state.current ??= new SurfaceState({ root, line, band, dot, live });
  state.current.props = props;
  useLayoutEffect(() => state.current!.refresh());
  useLayoutEffect(() => props.cursor.follow(state.current!, (time) => state.current!.followed(time)), [props.cursor]);
  useEffect(() => () => state.current!.leave(), []);
  const { plot } = props;
  return (
    <>
      <div ref={root} class="chart-surface" tabIndex={0} role="img" aria-label={props.label} aria-description={t.charts.keys} {...state.current.events}>
        {props.children}
        <div class="chart-plot" style={{ left: px(plot.left), top: px(plot.top), width: px(plot.width), height: px(plot.height) }}>
          <div ref={band} class="chart-band" hidden />
          <div ref={line} class="chart-cursor" hidden />
          <div ref={dot} class="chart-dot" hidden />
        </div>
      </div>
      <div ref={live} class="hidden-text" aria-live="polite" />
    </>
  );
}

type Parts = Record<"root" | "line" | "band" | "dot" | "live", { current: HTMLDivElement | null }>;

/** The state of a surface. It changes elements directly, because components would be too slow for each move of a pointer. */
class SurfaceState {
  props!: SurfaceProps;
  #parts: Parts;
  #at: { time: number; y: number; keyboard: boolean } | undefined;
  #content: Content | undefined;
  #drag: Drag | undefined;
  #selected: { anchor: number; now: number } | undefined; // by keyboard
  #elsewhere: number | undefined;
  #pinned = false;
  #frame = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  events = {
    onPointerMove: (e: PointerEvent) => this.#move(e),
    onPointerDown: (e: PointerEvent) => this.#down(e),
    onPointerUp: (e: PointerEvent) => this.#up(e),
    onPointerCancel: () => {
      this.#drag = undefined;
      this.leave();
    },
    onPointerLeave: () => {
      if (!this.#drag && !this.#pinned && !this.#at?.keyboard) this.leave();
    },
    onKeyDown: (e: KeyboardEvent) => this.#key(e),
    onBlur: (e: FocusEvent) => {
      if (this.#at?.keyboard && !inTooltip(e.relatedTarget)) this.leave();
    },
  };

  /** Draws again after new data or a new size. */
  refresh(): void {
    if (this.#at) this.#inspect();
    else this.#draw();
  }

  followed(time: number | undefined): void {
    if (this.#at) return;
    this.#elsewhere = time;
    this.#draw();
  }

  leave(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const was = this.#at;
    this.#at = this.#content = this.#selected = undefined;
    this.#unpin();
    hideTooltip(this);
    if (was) this.props.cursor.set(undefined, this);
    this.#draw();
  }

  #place(e: PointerEvent): { x: number; y: number; time: number } {
    const { plot, range } = this.props;
    const box = this.#parts.root.current!.getBoundingClientRect();
    const x = Math.max(0, Math.min(plot.width, e.clientX - box.left - plot.left));
    const y = Math.max(0, Math.min(plot.height, e.clientY - box.top - plot.top));
    return { x, y, time: range.from + (x / Math.max(1, plot.width)) * (range.to - range.from) };
  }

  #move(e: PointerEvent): void {
    if (this.#pinned) return;
    const { x, y, time } = this.#place(e);
    if (this.#drag) {
      this.#drag.now = time;
      this.#drag.moved ||= Math.abs(x - this.#drag.x) > 5;
    }
    this.#at = { time, y, keyboard: false };
    this.#selected = undefined;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#at) this.#inspect();
    });
  }

  #down(e: PointerEvent): void {
    if (e.button !== 0 || !e.isPrimary) return;
    this.#unpin();
    this.#parts.root.current!.setPointerCapture(e.pointerId);
    const { x, time } = this.#place(e);
    this.#drag = { anchor: time, now: time, x, moved: false };
    this.#move(e);
  }

  #up(e: PointerEvent): void {
    const drag = this.#drag;
    this.#drag = undefined;
    if (!drag) return;
    if (drag.moved) {
      this.#zoom(drag.anchor, drag.now);
      return;
    }
    if (this.#at) this.#inspect();
    if (this.#content?.links?.length || e.pointerType === "touch") this.#pin();
  }

  #zoom(a: number, b: number): void {
    this.leave();
    if (a !== b) this.props.zoom({ from: Math.min(a, b), to: Math.max(a, b) });
  }

  #key(e: KeyboardEvent): void {
    if (e.target !== this.#parts.root.current || e.ctrlKey || e.metaKey || e.altKey) return;
    const { range, step, plot } = this.props;
    const pixel = (range.to - range.from) / Math.max(1, plot.width);
    const by = Math.max(step, pixel * 2);
    const from = this.#at?.time;
    let to: number | undefined;
    switch (e.key) {
      case "ArrowLeft": to = (from ?? range.to + by) - by; break;
      case "ArrowRight": to = (from ?? range.from - by) + by; break;
      case "PageUp": to = (from ?? range.to) - 10 * by; break;
      case "PageDown": to = (from ?? range.from) + 10 * by; break;
      case "Home": to = range.from; break;
      case "End": to = range.to; break;
      case "ArrowUp":
      case "ArrowDown": this.#climb(e.key === "ArrowUp"); break;
      case "Enter":
        if (this.#selected) this.#zoom(this.#selected.anchor, this.#selected.now);
        else if (this.#at) this.#pin();
        break;
      case "Escape":
        if (!this.#at && !this.#drag) return; // the page's own, such as leaving full screen
        this.#drag = undefined;
        if (this.#pinned) this.#unpin();
        else if (this.#selected) this.#selected = undefined;
        else {
          this.leave();
          break;
        }
        this.#inspect();
        break;
      default: return;
    }
    e.preventDefault();
    e.stopPropagation();
    if (to === undefined) return;
    to = Math.max(range.from, Math.min(range.to, to));
    this.#unpin();
    this.#selected = e.shiftKey ? { anchor: this.#selected?.anchor ?? from ?? to, now: to } : undefined;
    const y = this.#at?.y ?? this.props.heights(to)[0] ?? 0;
    this.#at = { time: to, y, keyboard: true };
    this.#inspect();
  }

  #climb(up: boolean): void {
    if (!this.#at) return;
    const list = [...this.props.heights(this.#at.time)].sort((a, b) => a - b);
    const { y } = this.#at;
    const next = up ? list.findLast((h) => h < y - 0.5) : list.find((h) => h > y + 0.5);
    this.#at = { ...this.#at, y: next ?? y, keyboard: true };
    this.#inspect();
  }

  #pin(): void {
    if (!this.#content) return;
    this.#pinned = true;
    addEventListener("pointerdown", this.#outside, true);
    addEventListener("keydown", this.#escape, true);
    this.#draw();
    if (this.#at?.keyboard) focusTooltip();
  }

  #unpin(): void {
    this.#pinned = false;
    removeEventListener("pointerdown", this.#outside, true);
    removeEventListener("keydown", this.#escape, true);
  }

  #outside = (e: Event) => {
    if (!inTooltip(e.target) && !this.#parts.root.current?.contains(e.target as Node)) this.leave();
  };

  #escape = (e: KeyboardEvent) => {
    if (e.key !== "Escape" || !inTooltip(e.target)) return;
    e.stopPropagation();
    this.#parts.root.current?.focus();
    this.leave();
  };

  #inspect(): void {
    const at = this.#at!;
    const content = this.props.inspect(at.time, at.y);
    this.#content = content;
    this.props.cursor.set(content?.time ?? at.time, this);
    if (at.keyboard) {
      if (content?.dot) at.y = content.dot.y;
      this.#parts.live.current!.textContent = content ? spoken(content) : t.charts.missing;
    }
    this.#draw();
  }

  #draw(): void {
    const { root, line, band, dot } = this.#parts;
    if (!root.current || !line.current || !band.current || !dot.current) return;
    const { plot, range } = this.props;
    const x = (time: number) => ((time - range.from) / (range.to - range.from)) * plot.width;
    const at = this.#at;
    const box = at && root.current.getBoundingClientRect(); // before the changes, which would make it lay out again
    const time = at ? (this.#content?.time ?? at.time) : this.#elsewhere;
    const left = time === undefined ? -1 : x(time);
    line.current.hidden = !(left >= 0 && left <= plot.width);
    line.current.style.transform = `translateX(${Math.round(left)}px)`;
    const selection = this.#drag?.moved ? this.#drag : this.#selected;
    band.current.hidden = !selection;
    if (selection) {
      const edges = [x(selection.anchor), x(selection.now)].map((v) => Math.max(0, Math.min(plot.width, v)));
      band.current.style.left = `${Math.min(...edges)}px`;
      band.current.style.width = `${Math.abs(edges[0]! - edges[1]!)}px`;
    }
    const mark = at ? this.#content?.dot : undefined;
    dot.current.hidden = !mark;
    if (mark) {
      dot.current.style.transform = `translate(${mark.x}px, ${mark.y}px)`;
      dot.current.style.background = mark.color;
    }
    if (at && box && this.#content && !this.#drag?.moved) {
      showTooltip(this, this.#content, box.left + plot.left + x(at.time), box.top + plot.top + at.y, this.#pinned);
    } else hideTooltip(this);
  }
}
