import { getLanguage } from "../texts/language";

/** A number of things with separators, as the viewer's language writes it. */
export const formatCount = (n: number): string => n.toLocaleString(getLanguage() === "zh" ? "zh-CN" : "en");
