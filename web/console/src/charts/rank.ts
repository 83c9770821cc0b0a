// The order of a tooltip's lines.

interface Candidate {
  /** What the tooltip says. */
  value: number;
  /** Where the line is, in the scale of y. */
  at: number;
  stacked: boolean;
}

/**
 * The candidate that y points at: of stacked ones the layer that contains y, otherwise the closest. Undefined without any.
 */
export function pointedAt<C extends Candidate>(list: readonly C[], y: number): C | undefined {
  let best: C | undefined;
  let distance = Infinity;
  for (const c of list) {
    // The layer's top lies above y; a layer further up loses by its distance.
    const d = c.stacked && c.at > y ? (c.at - y) / 4 : Math.abs(c.at - y);
    if (d < distance) [best, distance] = [c, d];
  }
  return best;
}

/** The largest ones first, at most `most`, and always `keep`. */
export function ranked<C extends Candidate>(list: readonly C[], most: number, keep?: C): { shown: C[]; more: number } {
  const shown = [...list].sort((a, b) => b.value - a.value);
  const more = Math.max(0, shown.length - most);
  if (more) {
    const place = keep ? shown.indexOf(keep) : -1;
    shown.length = most;
    if (keep && place >= most) shown[most - 1] = keep;
  }
  return { shown, more };
}
