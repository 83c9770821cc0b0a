/** Which rows of a list are drawn: those in sight, and some before and behind them. */
export function windowOf(top: number, height: number, rows: number, rowHeight: number, overscan: number): { from: number; to: number } {
  const from = Math.min(Math.max(0, Math.floor(top / rowHeight) - overscan), Math.max(0, rows - 1));
  return { from, to: Math.min(rows, Math.ceil((Math.max(0, top) + height) / rowHeight) + overscan) };
}
