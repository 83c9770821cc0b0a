// Numbers with units, as Grafana writes them.

/** A value in a unit of known.json, such as "1.5 kB/s". */
export function format(value: number, unit?: string, decimals?: number): string {
  return value.toFixed(decimals ?? 2) + (unit ?? "");
}
