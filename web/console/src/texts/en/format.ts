// Words in values.
export const format = {
  /** BCP 47, for dates. */
  dates: "en-GB",
  month: "short" as "short" | "numeric",
  yes: "True",
  no: "False",
  /** Behind a number, with its blank. Units: min, hour, day, week, year. */
  behind: (unit: string, many: boolean) => ` ${unit}${many ? "s" : ""}`,
  /** A whole number of a unit: year to millisecond. */
  whole: (n: number, unit: string) => `${n} ${unit}${n === 1 ? "" : "s"}`,
  and: ", ",
  /** About one of a unit: second to year. */
  one: (unit: string) => (unit === "second" ? "a few seconds" : unit === "hour" ? "an hour" : `a ${unit}`),
  before: (span: string) => `${span} ago`,
  after: (span: string) => `in ${span}`,
  /** Units of ages. */
  ages: { s: "s", min: "min", h: "h", d: "d" } as Record<string, string>,
};
