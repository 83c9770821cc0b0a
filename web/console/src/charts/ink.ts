// Colours and letters on a canvas.
import { color } from "../format";

export type Ink = (name: string) => string;

/** Resolves names of colours and of look/tokens.css for the theme that the page has now; "#..." stays. */
export function inks(): Ink {
  const style = getComputedStyle(document.documentElement);
  const known = new Map<string, string>();
  const read = (css: string) => {
    const name = /^var\((--[\w-]+)/.exec(css)?.[1];
    return name ? style.getPropertyValue(name).trim() : css;
  };
  // Grafana has shades of all its colours; the theme only those that were chosen for it.
  const shadeOf = (name: string) => {
    const ink = (of: string) => widen(read(of));
    const base = ink(color(name.replace(/^.*-/, "")));
    return base && mix(base, ink(name.includes("light-") ? "var(--surface)" : "var(--text)"), name.includes("-") ? 0.35 : 0);
  };
  return (name) => {
    let value = known.get(name);
    if (value === undefined) {
      value = name.startsWith("#") ? name : name.startsWith("--") ? style.getPropertyValue(name).trim() : read(color(name)) || shadeOf(name);
      value = widen(value) || "#888888";
      known.set(name, value);
    }
    return value;
  };
}

/** "#fff" as "#ffffff": the build shortens it in style sheets. */
const widen = (hex: string) => hex.replace(/^#(\w)(\w)(\w)$/, "#$1$1$2$2$3$3");

/** A colour of inks() with an opacity, 0 to 1. */
export function faint(hex: string, opacity: number): string {
  if (/^#[0-9a-f]{6}$/i.test(hex)) return hex + Math.round(opacity * 255).toString(16).padStart(2, "0");
  return `color-mix(in srgb, ${hex} ${opacity * 100}%, transparent)`;
}

/** Between two "#rrggbb" colours. */
export function mix(a: string, b: string, share: number): string {
  const at = (hex: string, i: number) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
  return "#" + [0, 1, 2].map((i) => Math.round(at(a, i) + (at(b, i) - at(a, i)) * share).toString(16).padStart(2, "0")).join("");
}

export const font = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

let ruler: CanvasRenderingContext2D | null | undefined;

/** The width of a text in the charts' font, CSS pixels. */
export function textWidth(text: string): number {
  if (ruler === undefined) {
    ruler = document.createElement("canvas").getContext("2d");
    if (ruler) ruler.font = font;
  }
  return ruler?.measureText(text).width ?? text.length * 6;
}

/** Sets a canvas to a size in CSS pixels and returns its cleared context, in CSS pixels. */
export function fit(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return ctx;
}
