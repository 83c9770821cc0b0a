// What a value means: texts and colours of single values, and colours from thresholds on.
import type { Threshold } from "../model/dashboard";

/** The text and colour of a single value. Values of labels are texts. */
export interface Meaning {
  value: number | string;
  text: string;
  color?: string;
}

/** The meaning of exactly v, or undefined. */
export function mapped(values: readonly Meaning[] | undefined, v: number | string): Meaning | undefined {
  return values?.find((m) => m.value === v);
}

/** The colour's name of the highest threshold that v reaches; NaN has the base's. Undefined without thresholds. */
export function thresholdColor(thresholds: readonly Threshold[] | undefined, v: number): string | undefined {
  let name: string | undefined;
  for (const t of thresholds ?? []) if (t.from === undefined || v >= t.from) name = t.color;
  return name;
}
