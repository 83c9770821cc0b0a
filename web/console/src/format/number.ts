// Numbers with units, as Grafana 10 to 12 write them (@grafana/data, valueFormats). Deviations: prefixes go in steps of 1000 alone, not
// deci or centi, and a value that is not finite has no unit.
import { t } from "../texts";

/** A value in its unit; the suffix begins with its blank, if it has one. */
export interface Parts {
  text: string;
  suffix: string;
}

interface Scaled {
  n: number;
  suffix: string;
}

const si = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const siBase = si.indexOf("");
const iec = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const counts = ["", "K", "M", "B", "T"];
const shorts = ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"];

function scale(v: number, factor: number, names: readonly string[], base: number, unit: string): Scaled {
  const lowest = -base;
  const highest = names.length - base - 1;
  let i = 0;
  if (v !== 0) {
    const size = Math.abs(v);
    i = Math.floor(Math.log(size) / Math.log(factor));
    if (size >= factor ** (i + 1)) i++; // Math.log is inexact at powers
    else if (size < factor ** i) i--;
    i = Math.min(highest, Math.max(lowest, i));
  }
  return { n: v / factor ** i, suffix: unit.replace("*", names[i + base]!) };
}

const siUnit = (unit: string, prefix = "") => (v: number) => scale(v, 1000, si, si.indexOf(prefix), " *" + unit);
const iecUnit = (unit: string) => (v: number) => scale(v, 1024, iec, 0, " *" + unit);
const countUnit = (unit: string) => (v: number) => scale(v, 1000, counts, 0, "* " + unit);
const plain = (suffix: string, factor = 1) => (v: number) => ({ n: v * factor, suffix });

/** Below the bound, divide by the second number. From a minute on a unit has words. */
const seconds: readonly [number, number, string][] = [
  [1e-6, 1e-9, " ns"],
  [1e-3, 1e-6, " µs"],
  [1, 1e-3, " ms"],
  [60, 1, " s"],
  [3600, 60, "min"],
  [86400, 3600, "hour"],
  [604800, 86400, "day"],
  [31536000, 604800, "week"],
  [Infinity, 3.15569e7, "year"],
];

function scaleSeconds(v: number): Scaled {
  if (v === 0) return { n: 0, suffix: " s" };
  const [, divisor, suffix] = seconds.find(([bound]) => Math.abs(v) < bound)!;
  const n = divisor < 1 ? v * Math.round(1 / divisor) : v / divisor;
  return { n, suffix: divisor >= 60 ? t.format.behind(suffix, Math.abs(n) > 1) : suffix };
}

const units: Record<string, (v: number) => Scaled> = {
  none: plain(""),
  short: (v) => scale(v, 1000, shorts, 0, "*"),
  percent: plain("%"),
  percentunit: plain("%", 100),
  s: scaleSeconds,
  bytes: iecUnit("B"),
  binBps: iecUnit("B/s"),
  Bps: siUnit("B/s"),
  pps: siUnit("p/s"),
  watt: siUnit("W"),
  kwatth: siUnit("Wh", "k"),
  joule: siUnit("J"),
  celsius: plain(" °C"),
  cps: countUnit("c/s"),
  reqps: countUnit("req/s"),
  iops: countUnit("io/s"),
};

function scaler(unit: string | undefined): (v: number) => Scaled {
  if (!unit) return plain("");
  const known = units[unit];
  if (known) return known;
  const [kind, rest = ""] = [unit.slice(0, unit.indexOf(":")), unit.slice(unit.indexOf(":") + 1)];
  if (kind === "count") return countUnit(rest);
  if (kind !== "si") return plain(" " + unit);
  const prefix = si.indexOf(rest.charAt(0));
  return prefix >= 0 && prefix !== siBase ? siUnit(rest.slice(1), rest.charAt(0)) : siUnit(rest);
}

/** The decimals that show three significant digits; none for a whole number. */
function automatic(n: number): number {
  return n % 1 === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(n))));
}

function fixed(n: number, decimals = automatic(n)): string {
  const d = Math.max(0, decimals);
  if (d > 300) return String(Number(n.toPrecision(3)));
  const factor = 10 ** d;
  const scaled = n * factor;
  const text = String(Number.isFinite(scaled) ? Math.round(scaled) / factor : n);
  if (text.includes("e")) return text;
  const point = text.indexOf(".");
  const have = point < 0 ? 0 : text.length - point - 1;
  return have < d ? text + (have ? "" : ".") + "0".repeat(d - have) : text;
}

/** A value in a unit of known.json; without decimals, three significant digits. */
export function parts(value: number, unit?: string, decimals?: number): Parts {
  if (!Number.isFinite(value)) return { text: Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "-∞", suffix: "" };
  switch (unit) {
    case "bool":
      return { text: value ? t.format.yes : t.format.no, suffix: "" };
    case "dateTimeFromNow":
      return { text: fromNow(value - Date.now()), suffix: "" };
    case "dtdurations":
      return { text: duration(value, decimals), suffix: "" };
  }
  const { n, suffix } = scaler(unit)(value);
  return { text: fixed(n, decimals), suffix };
}

/** A value in a unit of known.json, such as "1.50 kB/s". */
export function format(value: number, unit?: string, decimals?: number): string {
  const { text, suffix } = parts(value, unit, decimals);
  return text + suffix;
}

/** The labels of an axis: those of one suffix have equally many decimals, as few as tell the values apart. */
export function formatAxis(values: readonly number[], unit?: string, decimals?: number): string[] {
  if (unit === "bool" || unit === "dateTimeFromNow" || unit === "dtdurations") return values.map((v) => format(v, unit, decimals));
  const scaled = values.map((v) => (Number.isFinite(v) ? scaler(unit)(v) : { n: v, suffix: "" }));
  const needed = new Map<string, number>();
  let step = Infinity;
  for (let i = 1; i < values.length; i++) {
    const distance = Math.abs(values[i]! - values[i - 1]!);
    if (distance > 0 && distance < step) step = distance;
  }
  scaled.forEach(({ n, suffix }, i) => {
    if (n === 0 || !Number.isFinite(n)) return;
    const tolerance = Number.isFinite(step) ? Math.abs((step * n) / values[i]!) / 50 : Math.abs(n) / 200;
    let d = 0;
    while (d < 12 && Math.abs(Math.round(n * 10 ** d) / 10 ** d - n) > tolerance) d++;
    needed.set(suffix, Math.max(needed.get(suffix) ?? 0, d));
  });
  return scaled.map(({ n, suffix }) =>
    Number.isFinite(n) ? fixed(n, decimals ?? (n === 0 ? 0 : needed.get(suffix))) + suffix : format(n),
  );
}

const spans: readonly [string, number][] = [
  ["year", 31536000],
  ["month", 2592000],
  ["week", 604800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
  ["millisecond", 0.001],
];

/** The largest span and as many smaller ones as there are decimals. */
function duration(value: number, decimals = 0): string {
  let rest = Math.round(Math.abs(value) * 1000); // whole milliseconds
  if (rest === 0) return t.format.whole(0, "second");
  const list: string[] = [];
  for (const [name, length] of spans) {
    const whole = Math.floor(rest / (length * 1000));
    if (!whole && !list.length) continue;
    list.push(t.format.whole(whole, name));
    rest -= whole * length * 1000;
    if (list.length > decimals) break;
  }
  const text = list.join(t.format.and);
  return value < 0 ? t.format.before(text) : text;
}

/** moment's fromNow, with its thresholds; milliseconds from now. */
function fromNow(milliseconds: number): string {
  const size = Math.abs(milliseconds) / 1000;
  const of = (length: number) => Math.round(size / length);
  const [minutes, hours, days, months, years] = [of(60), of(3600), of(86400), of(2629746), of(31556952)];
  const about = (n: number, unit: string) => (n <= 1 ? t.format.one(unit) : t.format.whole(n, unit));
  let text: string;
  if (of(1) < 45) text = t.format.one("second");
  else if (minutes < 45) text = about(minutes, "minute");
  else if (hours < 22) text = about(hours, "hour");
  else if (days < 26) text = about(days, "day");
  else if (months < 11) text = about(months, "month");
  else text = about(years, "year");
  return milliseconds > 0 ? t.format.after(text) : t.format.before(text);
}
