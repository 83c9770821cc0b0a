// Bar gauges and texts: the fleet's page has none, so that they are loaded with the first of them.
import "./cells.css";
import type { Drawing } from "../model/panel";
import { t } from "../texts";
import { BarGauge } from "./bargauge";
import { textCell } from "../format/csv";
import { blocks, plain } from "./markdown";
import { csvOfReadings } from "./readings";
import { Text } from "./text";

export const barGauge: Drawing = {
  component: BarGauge,
  rows: (panel, data) => csvOfReadings(panel, data, [t.cells.name, t.cells.value]),
  paint: async (ctx, props) => (await import("./paint")).paintBarGauge(ctx, props),
};

export const text: Drawing = {
  component: Text,
  rows: (panel) => [[textCell(panel.title)], ...blocks(panel.markdown ?? "").flatMap((b) => ("items" in b ? b.items : [b.inside]).map((inside) => [textCell(plain(inside))]))],
  paint: async (ctx, props) => (await import("./paint")).paintText(ctx, props),
};
