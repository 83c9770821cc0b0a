// Cells of CSV files.

/** A text. Spreadsheets execute what begins with one of = + - @, a tab or a return; an apostrophe before it keeps it a text. */
export function textCell(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
}

/** A number in full, for a time in ISO 8601, or nothing where there is none. */
export function numberCell(value: number | undefined, unit?: string): string {
  if (value === undefined || Number.isNaN(value)) return "";
  if (unit === "dateTimeFromNow" && Math.abs(value) <= 8.64e15) return new Date(value).toISOString();
  return String(value);
}
