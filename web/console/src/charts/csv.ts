// A panel's data as rows of cells.

/** A column of times (ISO 8601, UTC) and one for each name; empty where there is no value. */
export function tableOf(times: readonly number[], names: readonly string[], columns: readonly (readonly (number | null)[])[]): string[][] {
  return [["time", ...names.map(harmless)], ...times.map((time, i) => [iso(time), ...columns.map((c) => String(c[i] ?? ""))])];
}

export const iso = (time: number) => new Date(Math.round(time * 1000)).toISOString();

/** Spreadsheets execute a text that begins so. */
export const harmless = (text: string) => (/^[=+\-@\t\r]/.test(text) ? "'" + text : text);
