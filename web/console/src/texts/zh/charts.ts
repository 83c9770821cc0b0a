import type { charts as en } from "../en/charts";

export const charts: typeof en = {
  noData: "无数据",
  noBuckets: "无数据：查询结果不含直方图桶",
  click: "点击查看链接",
  keys: "方向键在时间和数值之间移动；按住 Shift 选择区间，Enter 放大到该区间，Escape 退出。",
  legend: "序列。Enter 只显示一条，空格键添加或移除一条。",
  states: "状态",
  more: (n) => `另有 ${n} 项`,
  shownSeries: (shown, of) => `仅显示数值最大的 ${shown} 条序列，共 ${of} 条`,
  shownRows: (shown, of) => `仅显示 ${shown} 行，共 ${of} 行`,
  events: (n, lines) => `${n} 个事件合并显示为 ${lines} 条线`,
  event: (name, text, time) => `${name}${text ? `：${text}` : ""}，${time}`,
  series: (n) => `${n} 条序列`,
  rows: (n) => `${n} 行`,
  buckets: (n) => `${n} 个桶`,
  range: (from, to) => `${from} 至 ${to}`,
  above: (value) => `大于 ${value}`,
  upTo: (value) => `不超过 ${value}`,
  lasted: (duration) => `持续 ${duration}`,
  missing: "无值",
  unnamed: "（无）",
  most: (value) => `最大 ${value}`,
  summary: (s) =>
    `${s.title}：${s.what}，${s.range}。` + (s.values.length ? `最新值：${s.values.join("，")}${s.more > 0 ? `，另有 ${s.more} 项` : ""}。` : ""),
  time: "时间",
};
