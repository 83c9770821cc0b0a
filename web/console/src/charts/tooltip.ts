// The one tooltip of all charts. It lies in the top layer, so that neither panels nor dialogs cut it.
import { t } from "../texts";

export interface Row {
  color: string;
  /** Of the colour's sample; otherwise a line. */
  sample?: "dashed" | "block" | undefined;
  name: string;
  value: string;
  /** The one that is pointed at. */
  marked?: boolean;
}

export interface Content {
  time: number; // seconds, where the cursor's line is
  head: string;
  /** Texts of events, with their colours. */
  events?: { color: string; text: string }[];
  rows: Row[];
  more?: string;
  links?: { title: string; url: string }[];
  /** Where the chart marks the value, in its pixels. */
  dot?: { x: number; y: number; color: string };
}

let box: HTMLDivElement | undefined;
let owner: object | undefined;
let shown: Content | undefined;
let size = { width: 0, height: 0 };

export function element<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, ...content: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  e.className = className;
  e.append(...content);
  return e;
}

/** Shows the tooltip near a place of the window, inside of it. A pinned one has links and takes the pointer. */
export function showTooltip(who: object, content: Content, x: number, y: number, pinned: boolean): void {
  if (!box) {
    box = element("div", "chart-tooltip");
    box.popover = "manual";
    document.body.append(box);
  }
  if (owner !== who || shown !== content || box.classList.contains("pinned") !== pinned) {
    box.classList.toggle("pinned", pinned);
    box.ariaHidden = pinned ? null : "true"; // a live region of the chart says it
    fill(box, content, pinned);
    if (owner === undefined) box.showPopover?.();
    size = { width: box.offsetWidth, height: box.offsetHeight };
  }
  owner = who;
  shown = content;
  const { width, height } = size;
  const left = x + 16 + width <= innerWidth - 4 ? x + 16 : x - 16 - width;
  const top = y + 16 + height <= innerHeight - 4 ? y + 16 : y - 16 - height;
  const inside = (at: number, size: number, room: number) => Math.round(Math.max(4, Math.min(at, room - size - 4)));
  box.style.transform = `translate(${inside(left, width, innerWidth)}px, ${inside(top, height, innerHeight)}px)`;
}

export function hideTooltip(who: object): void {
  if (owner !== who) return;
  owner = shown = undefined;
  box?.hidePopover?.();
  box?.replaceChildren();
}

/** Whether the node lies in the tooltip. */
export const inTooltip = (node: EventTarget | null) => node instanceof Node && box?.contains(node) === true;

/** Moves the focus to the first link of a pinned tooltip. */
export const focusTooltip = () => box?.querySelector("a")?.focus();

function fill(into: HTMLElement, content: Content, pinned: boolean): void {
  const head = element("div", "chart-tooltip-head", content.head);
  const events = (content.events ?? []).map((event) => {
    const line = element("div", "chart-tooltip-event", event.text);
    line.style.borderColor = event.color;
    return line;
  });
  const rows = content.rows.map((row) => {
    const key = element("i", `chart-key ${row.sample ?? ""}`);
    key.style.color = row.color;
    return element("div", row.marked ? "chart-tooltip-row marked" : "chart-tooltip-row", key, element("span", "", row.name), element("b", "", row.value));
  });
  const links = (pinned ? (content.links ?? []) : []).map((link) => {
    const a = element("a", "", link.title);
    a.href = link.url;
    return a;
  });
  into.replaceChildren(head, ...events, ...rows);
  if (content.more) into.append(element("div", "chart-tooltip-more", content.more));
  if (links.length) into.append(element("div", "chart-tooltip-links", ...links));
  else if (content.links?.length) into.append(element("div", "chart-tooltip-more", t.charts.click));
}

/** The content as a sentence, for a live region. */
export function spoken(content: Content): string {
  const events = (content.events ?? []).map((e) => e.text);
  const rows = [...content.rows].sort((a, b) => Number(b.marked ?? false) - Number(a.marked ?? false)).slice(0, 5);
  return [content.head, ...events, ...rows.map((r) => `${r.name}: ${r.value}`)].join("; ");
}
