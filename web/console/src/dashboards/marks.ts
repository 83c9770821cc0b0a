// Events from the answers of annotations' queries.
import type { Annotation } from "../model/dashboard";
import type { Mark, Range, Series } from "../model/panel";

/** The marks of an annotation in a range: where a value is a time, that time; else the beginning of each run of samples. */
export function marksOf(a: Annotation, answer: readonly Series[], range: Range): Mark[] {
  const marks = new Map<string, Mark>();
  for (const s of answer) {
    const text = a.text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => s.labels[name] ?? "");
    s.times.forEach((time, i) => {
      const value = s.values[i]!;
      if (a.valueIsTime) time = value / 1000;
      else if (value === 0 || (i > 0 && time - s.times[i - 1]! <= a.step * 1.5 && s.values[i - 1] !== 0)) return;
      if (!(time >= range.from && time <= range.to)) return;
      marks.set(`${time}\n${text}`, { time, name: a.name, text, color: a.color });
    });
  }
  return [...marks.values()].sort((x, y) => x.time - y.time);
}
