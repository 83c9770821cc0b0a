// A panel's data as rows of cells.
import { textCell } from "../format/csv";

/** A column of times (ISO 8601, UTC) and one for each name; empty where there is no value. */
export function tableOf(times: readonly number[], names: readonly string[], columns: readonly (readonly (number | null)[])[]): string[][] {
  return [["time", ...names.map(textCell)], ...times.map((time, i) => [iso(time), ...columns.map((c) => String(c[i] ?? ""))])];
}

export const iso = (time: number) => new Date(Math.round(time * 1000)).toISOString();
