// Texts of the pages that are loaded later: they are no part of the first download.
import { lists } from "./en/lists";

export const l = lists;
