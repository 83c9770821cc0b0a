// Texts of a change of the mapping, in the viewer's language: they are no part of the first download.
import { mappingchange } from "./en/mappingchange";
import { getLanguage } from "./language";

export const c: typeof mappingchange = getLanguage() === "zh" ? (await import("./zh/mappingchange")).mappingchange : mappingchange;
