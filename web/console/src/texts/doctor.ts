// Texts of the doctor's page, in the viewer's language: they are no part of the first download.
import { doctor } from "./en/doctor";
import { getLanguage } from "./language";

export const d: typeof doctor = getLanguage() === "zh" ? (await import("./zh/doctor")).doctor : doctor;
