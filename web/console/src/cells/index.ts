// The panels that show single values. Bar gauges and texts are in later.ts.
import "./cells.css";
import type { Drawing } from "../model/panel";
import { t } from "../texts";
import { csvOf } from "./grid";
import { csvOfReadings } from "./readings";
import { Stat } from "./stat";
import { Table } from "./table";

export const stat: Drawing = {
  component: Stat,
  rows: (panel, data) => csvOfReadings(panel, data, [t.cells.name, t.cells.value]),
  paint: async (ctx, props) => (await import("./paint")).paintStat(ctx, props),
};

export const table: Drawing = { component: Table, rows: csvOf, paint: async (ctx, props) => (await import("./paint")).paintTable(ctx, props) };
