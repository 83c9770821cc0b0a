// Simplified Chinese, in one download.
import { cells } from "./cells";
import { charts } from "./charts";
import { fleet } from "./fleet";
import { format } from "./format";
import { lists } from "./lists";
import { shell } from "./shell";

export const texts = { cells, charts, fleet, format, lists, shell };
