// Texts of a change of the mapping: they are no part of the first download.
import { instead } from ".";
import { mappingchange } from "./en/mappingchange";

export const c: typeof mappingchange = instead.mappingchange ?? mappingchange;
