import type { format as en } from "../en/format";

const names: Record<string, string> = { millisecond: "毫秒", second: "秒", min: "分钟", minute: "分钟", hour: "小时", day: "天", week: "周", month: "个月", year: "年" };
const named = (unit: string) => names[unit] ?? unit;

export const format: typeof en = {
  dates: "zh-CN",
  month: "numeric",
  yes: "是",
  no: "否",
  behind: (unit) => ` ${named(unit)}`,
  whole: (n, unit) => `${n} ${named(unit)}`,
  and: " ",
  one: (unit) => (unit === "second" ? "几秒" : `1 ${named(unit)}`),
  before: (span) => `${span}前`,
  after: (span) => `${span}后`,
  ages: { s: "秒", min: "分钟", h: "小时", d: "天" },
};
