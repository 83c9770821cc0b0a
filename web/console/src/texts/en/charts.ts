export const charts = {
  noData: "No data",
  noBuckets: "No data: the answer has no buckets",
  click: "Click for links",
  keys: "Arrow keys move through time and values. With Shift they select a range, Enter zooms in on it, Escape leaves.",
  legend: "Series. Enter shows one alone, Space adds or removes one.",
  states: "States",
  more: (n: number) => `and ${n} more`,
  shownSeries: (shown: number, of: number) => `${shown} of ${of} series are shown, the largest ones`,
  shownRows: (shown: number, of: number) => `${shown} of ${of} rows are shown`,
  events: (n: number, lines: number) => `${n} events are shown as ${lines} ${lines === 1 ? "line" : "lines"}`,
  event: (name: string, text: string, time: string) => `${name}${text ? `: ${text}` : ""}, ${time}`,
  series: (n: number) => (n === 1 ? "1 series" : `${n} series`),
  rows: (n: number) => (n === 1 ? "1 row" : `${n} rows`),
  buckets: (n: number) => (n === 1 ? "1 bucket" : `${n} buckets`),
  range: (from: string, to: string) => `${from} to ${to}`,
  above: (value: string) => `above ${value}`,
  upTo: (value: string) => `up to ${value}`,
  lasted: (duration: string) => `for ${duration}`,
  missing: "no value",
  /** A series without labels where the legend has one. */
  unnamed: "(none)",
  most: (value: string) => `largest ${value}`,
  /** What a chart shows, for readers of its text. */
  summary: (s: { title: string; what: string; range: string; values: string[]; more: number }) =>
    `${s.title}: ${s.what}, ${s.range}.` + (s.values.length ? ` Last values: ${s.values.join(", ")}${s.more > 0 ? `, and ${s.more} more` : ""}.` : ""),
  time: "time",
};
