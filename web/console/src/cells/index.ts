// The panels that show single values and texts.
import "./cells.css";
import type { Drawing } from "../model/panel";
import { t } from "../texts";
import { BarGauge } from "./bargauge";
import { textCell } from "./csv";
import { csvOf } from "./grid";
import { blocks, plain } from "./markdown";
import { csvOfReadings } from "./readings";
import { Stat } from "./stat";
import { Table } from "./table";
import { Text } from "./text";

const rows: Drawing["rows"] = (panel, data) => csvOfReadings(panel, data, [t.cells.name, t.cells.value]);

export const stat: Drawing = { component: Stat, rows, paint: async (ctx, props) => (await import("./paint")).paintStat(ctx, props) };

export const barGauge: Drawing = { component: BarGauge, rows, paint: async (ctx, props) => (await import("./paint")).paintBarGauge(ctx, props) };

export const table: Drawing = { component: Table, rows: csvOf, paint: async (ctx, props) => (await import("./paint")).paintTable(ctx, props) };

export const text: Drawing = {
  component: Text,
  rows: (panel) => [[textCell(panel.title)], ...blocks(panel.markdown ?? "").flatMap((b) => ("items" in b ? b.items : [b.inside]).map((inside) => [textCell(plain(inside))]))],
  paint: async (ctx, props) => (await import("./paint")).paintText(ctx, props),
};
