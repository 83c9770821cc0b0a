// Texts of the doctor's page: they are no part of the first download.
import { instead } from ".";
import { doctor } from "./en/doctor";

export const d: typeof doctor = instead.doctor ?? doctor;
