// Colours by Grafana's names, as CSS custom properties of look/tokens.css, and the palette of series.
import type { Theme } from "../model/panel";

/** The CSS value of a colour's name. */
export function color(name: string): string {
  return name === "text" ? "var(--text)" : `var(--${name})`;
}

/** The computed colour of a name, for a canvas. */
export function canvasColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

/**
 * Colours of series without one of their own, in order. All have a contrast of 3:1 or more on the surface; the first eight can be told apart
 * with protanopia and deuteranopia, too (colors.test.ts computes both).
 */
export const palette: Record<Theme, readonly string[]> = {
  light: [
    "#1f5fd0", "#ef5c2f", "#0f9c85", "#97448b", "#695b05", "#8f82e4", "#6d1e00", "#074550", "#e356a0", "#0091c8",
    "#1da12b", "#be2323", "#99860f", "#4c0691", "#0b758a", "#6a36b5", "#224800", "#6d0053", "#014e8e", "#097f1b",
  ],
  dark: [
    "#74a5ff", "#f97b43", "#4aeba1", "#c073b3", "#febf26", "#705bcd", "#b5e7fd", "#af5141", "#2c9934", "#f7aafe",
    "#00bdb4", "#9eb106", "#feb5ac", "#0c808d", "#9f77ec", "#d9e799", "#0087cf", "#9c7c0b", "#955a8b", "#16cafd",
  ],
};
