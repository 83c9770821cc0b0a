// Texts of the pages that are loaded later: they are no part of the first download.
import { instead } from ".";
import { lists } from "./en/lists";

export const l: typeof lists = instead.lists ?? lists;
