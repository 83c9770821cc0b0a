// The dashboards' page: its controls, and the states of panels.
const list = new Intl.ListFormat("en", { type: "conjunction" });
const few = (values: readonly string[], most = 3) =>
  values.length > most ? `${values.slice(0, most).join(", ")} and ${values.length - most} more` : list.format(values);

/** A metric's name; a pattern of many is cut. */
const named = (metric: string) => (metric.length > 70 ? metric.slice(0, 60) + "…" : metric);

const sentence = (text: string) => text.replace(/\.?$/, ".");

const units: Record<string, string> = { s: "second", m: "minute", h: "hour", d: "day", w: "week" };

/** "30m" as "30 minutes". */
function long(duration: string): string {
  const m = /^(\d+)([smhdw])$/.exec(duration);
  return m ? `${m[1]} ${units[m[2]!]}${m[1] === "1" ? "" : "s"}` : duration;
}

export const shell = {
  loading: "Loading",
  noDashboard: (uid: string) => `There is no dashboard ${uid}.`,
  allDashboards: "All dashboards",
  failed: (why: string) => `The dashboard could not be loaded: ${why}`,
  again: "Try again",
  dashboards: "Dashboards",
  controls: "Variables and time",

  all: "All",
  selected: (n: number) => `${n} selected`,
  filter: "Filter",
  none: "None",
  noOptions: "Nothing to choose",
  gone: (label: string, values: readonly string[]) => `No data for ${label} ${few(values)} in this range.`,
  goneShort: (label: string, values: readonly string[]) => `No data for ${label} ${few(values)}`,
  goneOthers: (options: readonly string[]) => (options.length > 0 ? `This range has ${few(options, 5)}.` : "This range has no other."),
  goneOption: (value: string) => `${value} (no data)`,
  optionsFailed: (label: string, why: string) => `The choices of ${label} could not be read: ${sentence(why)}`,

  last: (duration: string) => `Last ${long(duration)}`,
  range: (from: string, to: string) => `${from} to ${to}`,
  timeRange: "Time range",
  relative: "Up to now",
  custom: "Another beginning, up to now",
  customHint: "such as now-90m",
  absolute: "From and to, in this browser's time zone",
  from: "From",
  to: "To",
  apply: "Apply",
  wrongTime: "This is no time. Write now-90m or now-2d.",
  wrongOrder: "The end must be after the beginning.",
  earlier: "Half a range earlier",
  later: "Half a range later",
  zoomOut: "Zoom out",
  refresh: "Refresh now",
  refreshEvery: "Refresh every",
  off: "Off",
  fixedRange: "An absolute range is not refreshed",
  marks: "Marks",
  print: "Print",
  printing: (left: number) => `Loading ${left} panels`,
  notPrinted: "Not loaded. The button Print on the page loads all panels before it prints.",
  grafana: "Open in Grafana",
  openRow: (title: string, n: number) => `${title} (${n} panels)`,

  about: (title: string) => `About ${title}`,
  menu: (title: string) => `Menu of ${title}`,
  openQueries: "Open the queries in Prometheus",
  full: "Full screen",
  leaveFull: "Leave full screen",
  copyPicture: "Copy as a picture",
  saveCSV: "Save as CSV",
  copyLink: "Copy a link to this panel",
  copied: "Copied",
  saved: "Saved",
  notCopied: (why: string) => `Could not be copied: ${why}`,

  stale: (age: string) => `Stale: ${age} old`,
  staleShort: "Stale",
  staleWhy: (age: string, why: string, todo: string) => `These data are ${age} old. The refresh failed: ${sentence(why)} ${todo}`,
  ago: (seconds: number) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`),
  queryFailed: (letter: string, why: string) => `Query ${letter} failed: ${why}`,
  limited: (shown: number) => `Only the first ${shown} series are read. Choose fewer by the variables.`,
  seriesCut: (shown: number, of: number) => `${shown} of ${of} series are read. Choose fewer by the variables.`,
  bytesCut: (shown: number) => `The answer is larger than 20 MB; its first ${shown} series are read. Choose fewer by the variables.`,
  warning: (text: string) => `Prometheus: ${text}`,
  broken: (why: string) => `This panel could not be drawn: ${why}`,
  brokenTodo: "Reload the page; if it stays, report it with the panel's title.",
  unknown: (what: readonly string[]) => `The console does not know: ${list.format(what)}.`,
  unknownTodo: "Console and server are of different versions: reload the page.",

  findOut: "Find out why",
  failedShort: "Error",
  noData: "No data",
  noPrometheus: (reason: string) => `No Prometheus answers the console's queries: ${reason}`,
  never: (metric: string) => `Nothing has exported ${named(metric)} in the last 7 days.`,
  neverLink: "Which engine exports which metric",
  earlierData: (metric: string, when: string) => `${named(metric)} has no sample in this range. The last one found is of ${when}.`,
  showThen: "Show that time",
  others: (label: string, values: readonly string[], metric: string, others: readonly string[]) =>
    `${label} ${few(values)} has no ${named(metric)}. ${few(others)} ${others.length === 1 ? "has" : "have"} it.`,
  empty: (metrics: readonly string[]) => `${few(metrics.map(named))} ${metrics.length === 1 ? "has" : "have"} samples in this range, but nothing matches this panel's query, or there is nothing to count yet.`,

  failures: {
    status: (status: number) => `The server answered with status ${status}.`,
    timeout: "The server did not answer in 40 seconds.",
    unreachable: "The server cannot be reached.",
    large: "The answer is larger than 20 MB.",
    notJSON: "The answer is no JSON.",
    shorter: "Choose a shorter range, or fewer series by the variables.",
    slow: "Choose a shorter range, or try again when the server has less to do.",
    report: "Please report it with the panel's title.",
    execution: "Choose a shorter range, or open the query in Prometheus to see its parts.",
    token: "Give the admin token.",
    busy: "The server has too much to do; try again in a minute.",
    absent: "The server has no Prometheus here: see its flags --prometheus-url and --disable-builtin-observability.",
    unavailable: "See whether the server and its Prometheus are running. /readyz says what is wrong with the embedded one, not with that of --prometheus-url.",
    server: "See whether the server is running, and the network to it.",
  },
};
