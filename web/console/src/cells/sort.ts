// The order of texts and of a table's rows.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Natural order: gpu-2 comes before gpu-10. */
export function natural(a: string, b: string): number {
  return collator.compare(a, b);
}

export interface Order {
  /** Index of the column. */
  column: number;
  descending: boolean;
}

/**
 * A sorted copy: numbers by number, texts in natural order and after numbers, what is absent last in both directions. Rows that are equal
 * keep their order.
 */
export function sorted<T>(rows: readonly T[], valueOf: (row: T) => number | string | undefined, descending: boolean): T[] {
  const absent = (v: number | string | undefined) => v === undefined || v === "" || Number.isNaN(v);
  const sign = descending ? -1 : 1;
  return rows
    .map((row) => ({ row, v: valueOf(row) }))
    .sort(({ v: a }, { v: b }) => {
      if (absent(a) || absent(b)) return Number(absent(a)) - Number(absent(b));
      if (typeof a === "number" && typeof b === "number") return a === b ? 0 : a < b ? -sign : sign;
      if (typeof a !== typeof b) return typeof a === "number" ? -sign : sign;
      return sign * natural(String(a), String(b));
    })
    .map(({ row }) => row);
}

/** The rows of which a text contains every word of the filter, in any case. */
export function filtered<T>(rows: readonly T[], filter: string, textsOf: (row: T) => string[]): readonly T[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return rows;
  return rows.filter((row) => {
    const text = textsOf(row).join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
