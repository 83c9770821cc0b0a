// The panels that show single values and texts.
import "./cells.css";
import type { Drawing } from "../model/panel";
import { t } from "../texts";
import { BarGauge, paintBarGauge } from "./bargauge";
import { textCell } from "./csv";
import { csvOf } from "./grid";
import { blocks, plain } from "./markdown";
import { csvOfReadings } from "./readings";
import { paintStat, Stat } from "./stat";
import { Table } from "./table";
import { paintTable } from "./table-paint";
import { paintText, Text } from "./text";

export const stat: Drawing = { component: Stat, rows: (panel, data) => csvOfReadings(panel, data, [t.cells.name, t.cells.value]), paint: paintStat };

export const barGauge: Drawing = { component: BarGauge, rows: (panel, data) => csvOfReadings(panel, data, [t.cells.name, t.cells.value]), paint: paintBarGauge };

export const table: Drawing = { component: Table, rows: csvOf, paint: paintTable };

export const text: Drawing = {
  component: Text,
  rows: (panel) => [[panel.title], ...blocks(panel.markdown ?? "").flatMap((b) => ("items" in b ? b.items.map((i) => [textCell(plain(i))]) : [[textCell(plain(b.inside))]]))],
  paint: paintText,
};
