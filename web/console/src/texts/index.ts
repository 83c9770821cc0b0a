// All texts that the viewer reads, by area. One file for each area and language.
import { cells } from "./en/cells";
import { charts } from "./en/charts";
import { fleet } from "./en/fleet";
import { shell } from "./en/shell";

export const t = { charts, cells, fleet, shell };
