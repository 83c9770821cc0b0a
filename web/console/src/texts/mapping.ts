// Texts of the mapping's page, in the viewer's language: they are no part of the first download.
import { mapping } from "./en/mapping";
import { getLanguage } from "./language";

export const m: typeof mapping = getLanguage() === "zh" ? (await import("./zh/mapping")).mapping : mapping;
