// All texts that the viewer reads, by area. One file for each area and language.
import { cells } from "./en/cells";
import { charts } from "./en/charts";
import { fleet } from "./en/fleet";
import { format } from "./en/format";
import type { lists } from "./en/lists";
import { shell } from "./en/shell";

export const t = { charts, cells, fleet, format, shell };

export type Texts = typeof t & { lists: typeof lists };

/** Texts of the lists in the viewer's language, if it is not English. */
export const instead: { lists?: typeof lists } = {};

/** Replaces the English texts. Call it before the first drawing: modules keep groups of t. */
export function speak(texts: Texts): void {
  for (const area of ["charts", "cells", "fleet", "format", "shell"] as const) Object.assign(t[area], texts[area]);
  instead.lists = texts.lists;
}
