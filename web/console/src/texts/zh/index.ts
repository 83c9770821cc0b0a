// Simplified Chinese, in one download.
import { cells } from "./cells";
import { charts } from "./charts";
import { doctor } from "./doctor";
import { fleet } from "./fleet";
import { format } from "./format";
import { lists } from "./lists";
import { mapping } from "./mapping";
import { mappingchange } from "./mappingchange";
import { shell } from "./shell";

export const texts = { cells, charts, doctor, fleet, format, lists, mapping, mappingchange, shell };
