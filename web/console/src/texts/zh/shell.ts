import type { shell as en } from "../en/shell";

const few = (values: readonly string[], most = 3) =>
  values.length > most ? `${values.slice(0, most).join("、")} 等 ${values.length} 项` : values.join("、");

/** A metric's name; a pattern of many is cut. */
const named = (metric: string) => (metric.length > 70 ? metric.slice(0, 60) + "…" : metric);

/** Messages of the server are English and end with its full stop, or with none. */
const sentence = (text: string) => (/[.。！？]$/.test(text) ? text : text + "。");

const units: Record<string, string> = { s: "秒", m: "分钟", h: "小时", d: "天", w: "周" };

function long(duration: string): string {
  const m = /^(\d+)([smhdw])$/.exec(duration);
  return m ? `${m[1]} ${units[m[2]!]}` : duration;
}

export const shell: typeof en = {
  loading: "加载中",
  noDashboard: (uid) => `没有仪表盘 ${uid}。`,
  allDashboards: "全部仪表盘",
  failed: (why) => `仪表盘加载失败：${why}`,
  again: "重试",
  dashboards: "仪表盘",
  controls: "变量与时间",

  all: "全部",
  selected: (n) => `已选 ${n} 项`,
  filter: "筛选",
  none: "无",
  noOptions: "没有可选项",
  gone: (label, values) => `此时间范围内没有 ${label} ${few(values)} 的数据。`,
  goneShort: (label, values) => `没有 ${label} ${few(values)} 的数据`,
  goneOthers: (options) => (options.length > 0 ? `此时间范围内有 ${few(options, 5)}。` : "此时间范围内没有其他可选项。"),
  goneOption: (value) => `${value}（无数据）`,
  optionsFailed: (label, why) => `无法读取 ${label} 的可选项：${sentence(why)}`,

  last: (duration) => `最近 ${long(duration)}`,
  range: (from, to) => `${from} 至 ${to}`,
  timeRange: "时间范围",
  relative: "截至当前",
  custom: "自定义起点，截至当前",
  customHint: "例如 now-90m",
  absolute: "起止时间，按此浏览器的时区",
  from: "开始",
  to: "结束",
  apply: "应用",
  wrongTime: "时间格式不正确，请输入 now-90m 或 now-2d 这样的写法。",
  wrongOrder: "结束时间必须晚于开始时间。",
  earlier: "向前移动半个时间范围",
  later: "向后移动半个时间范围",
  zoomOut: "缩小",
  refresh: "立即刷新",
  refreshEvery: "刷新间隔",
  off: "关闭",
  fixedRange: "绝对时间范围不会自动刷新",
  marks: "事件标记",
  print: "打印",
  printing: (left) => `正在加载 ${left} 个面板`,
  notPrinted: "未加载。页面上的“打印”按钮会先加载所有面板再打印。",
  grafana: "在 Grafana 中打开",
  openRow: (title, n) => `${title}（${n} 个面板）`,

  about: (title) => `关于 ${title}`,
  menu: (title) => `${title} 的菜单`,
  openQueries: "在 Prometheus 中打开查询",
  full: "全屏",
  leaveFull: "退出全屏",
  copyPicture: "复制为图片",
  saveCSV: "保存为 CSV",
  copyLink: "复制此面板的链接",
  copied: "已复制",
  saved: "已保存",
  notCopied: (why) => `复制失败：${why}`,

  stale: (age) => `数据过期：${age}前`,
  staleShort: "数据过期",
  staleWhy: (age, why, todo) => `这些数据是 ${age}前的。刷新失败：${sentence(why)}${todo}`,
  ago: (seconds) => (seconds < 90 ? `${Math.round(seconds)} 秒` : seconds < 5400 ? `${Math.round(seconds / 60)} 分钟` : `${Math.round(seconds / 3600)} 小时`),
  queryFailed: (letter, why) => `查询 ${letter} 失败：${why}`,
  limited: (shown) => `只读取了前 ${shown} 条序列，请用变量缩小范围。`,
  seriesCut: (shown, of) => `读取了 ${shown} 条序列，共 ${of} 条，请用变量缩小范围。`,
  bytesCut: (shown) => `响应超过 20 MB，只读取了其中前 ${shown} 条序列，请用变量缩小范围。`,
  warning: (text) => `Prometheus：${text}`,
  broken: (why) => `此面板无法绘制：${why}`,
  brokenTodo: "请重新加载页面；如果问题仍在，请附上面板标题反馈。",
  unknown: (what) => `控制台不认识：${what.join("、")}。`,
  unknownTodo: "控制台与服务器的版本不同，请重新加载页面。",

  findOut: "查明原因",
  failedShort: "错误",
  noData: "无数据",
  noPrometheus: (reason) => `没有 Prometheus 响应控制台的查询：${reason}`,
  never: (metric) => `最近 7 天内没有任何组件导出过 ${named(metric)}。`,
  neverLink: "各推理引擎导出哪些指标",
  earlierData: (metric, when) => `${named(metric)} 在此时间范围内没有样本，最后一个样本的时间是 ${when}。`,
  showThen: "查看该时间",
  others: (label, values, metric, others) => `${label} ${few(values)} 没有 ${named(metric)}，而 ${few(others)} 有。`,
  empty: (metrics) => `${few(metrics.map(named))} 在此时间范围内有样本，但没有符合此面板查询的数据，或者尚无可统计的内容。`,

  failures: {
    status: (status) => `服务器返回状态码 ${status}。`,
    timeout: "服务器在 40 秒内没有响应。",
    unreachable: "无法连接服务器。",
    large: "响应超过 20 MB。",
    notJSON: "响应不是 JSON。",
    shorter: "请缩短时间范围，或用变量减少序列。",
    slow: "请缩短时间范围，或在服务器负载降低后重试。",
    report: "请附上面板标题反馈。",
    execution: "请缩短时间范围，或在 Prometheus 中打开查询，查看其各个部分。",
    token: "请输入管理员令牌。",
    busy: "服务器负载过高，请一分钟后重试。",
    absent: "此服务器没有 Prometheus：请检查启动参数 --prometheus-url 和 --disable-builtin-observability。",
    unavailable: "请检查服务器及其 Prometheus 是否正在运行。/readyz 只说明内置 Prometheus 的问题，不涉及 --prometheus-url 指定的 Prometheus。",
    server: "请检查服务器是否正在运行，以及到服务器的网络。",
  },
};
