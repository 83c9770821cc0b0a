// All texts that the viewer reads, by area. One file for each area and language.
import { cells } from "./en/cells";
import { charts } from "./en/charts";
import type { doctor } from "./en/doctor";
import { fleet } from "./en/fleet";
import { format } from "./en/format";
import type { lists } from "./en/lists";
import type { mapping } from "./en/mapping";
import type { mappingchange } from "./en/mappingchange";
import { shell } from "./en/shell";

export const t = { charts, cells, fleet, format, shell };

/** Texts of pages that are loaded later. */
interface Later {
  doctor: typeof doctor;
  lists: typeof lists;
  mapping: typeof mapping;
  mappingchange: typeof mappingchange;
}

export type Texts = typeof t & Later;

/** Texts of later pages in the viewer's language, if it is not English. */
export const instead: Partial<Later> = {};

/** Replaces the English texts. Call it before the first drawing: modules keep groups of t. */
export function speak(texts: Texts): void {
  for (const area of ["charts", "cells", "fleet", "format", "shell"] as const) Object.assign(t[area], texts[area]);
  Object.assign(instead, texts);
}
