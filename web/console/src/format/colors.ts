// Colours by Grafana's names, as CSS custom properties of look/tokens.css, and the palette of series.

/** The CSS value of a colour's name. */
export function color(name: string): string {
  return name === "text" ? "var(--text)" : `var(--${name})`;
}

/** Colours of series without one of their own, in order, for both themes. */
export const palette = { light: ["#1f5fd0"], dark: ["#74a5ff"] };
