import type { cells as en } from "../en/cells";

export const cells: typeof en = {
  noData: "无数据",
  name: "名称",
  value: "值",
  sortBy: (title) => `按“${title}”排序`,
  filter: "筛选行",
  rowsFound: (found, of) => `${found} / ${of} 行`,
  noneFound: "没有匹配的行。",
  count: (n, what) => `${n} ${what}`,
  only: "仅显示",
  page: (from, to, of) => `第 ${from}–${to} 行，共 ${of} 行`,
  previousPage: "上一页",
  nextPage: "下一页",
  moreRows: (n) => `另有 ${n} 行`,
};
