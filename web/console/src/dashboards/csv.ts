// Rows as a CSV file.

/** RFC 4180: cells with separators, quotes or ends of lines are quoted. */
export function csv(rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A file's name from a title. */
export function fileName(title: string, extension: string): string {
  const words = title.normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return (words.slice(0, 80) || "panel") + "." + extension;
}
