// Sizes of texts and boxes.

/** A length for a style, to which Preact 11 adds no unit; infinite: as the content needs. */
export function px(n: number): string {
  return Number.isFinite(n) ? n + "px" : "auto";
}

let context: CanvasRenderingContext2D | null | undefined;

/** The width of a text in a CSS font, pixels. */
export function textWidth(text: string, font: string): number {
  context ??= document.createElement("canvas").getContext("2d");
  if (!context) return text.length * 8;
  context.font = font;
  return context.measureText(text).width;
}

export const family = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

/** Part of the value's size in which its unit is written. */
export const unitShare = 0.6;

/**
 * The font size, pixels, in which every text fits into a room of width by height; never below least or above most.
 * Widths are the texts' at a size of 1 pixel.
 */
export function fitSize(widths: readonly number[], width: number, height: number, least: number, most: number): number {
  const widest = Math.max(...widths, 0);
  const wide = widest > 0 ? width / widest : most;
  return Math.floor(Math.max(least, Math.min(most, height / 1.2, wide)));
}
