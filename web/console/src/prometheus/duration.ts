// Durations as Prometheus and Grafana write them.

const seconds: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, M: 2592000, y: 31536000 };

/** Seconds of a duration such as "15s" or "1h30m"; undefined if it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:ms|[smhdwMy]))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/(\d+)(ms|[smhdwMy])/g)) sum += Number(n) * seconds[unit!]!;
  return sum;
}

/** A duration in its largest whole unit, such as "90m" for 5400. */
export function formatDuration(s: number): string {
  const whole = Math.max(1, Math.round(s));
  for (const [unit, n] of [["d", 86400], ["h", 3600], ["m", 60]] as const) if (whole % n === 0) return whole / n + unit;
  return whole + "s";
}
