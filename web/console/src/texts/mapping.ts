// Texts of the mapping's page: they are no part of the first download.
import { instead } from ".";
import { mapping } from "./en/mapping";

export const m: typeof mapping = instead.mapping ?? mapping;
