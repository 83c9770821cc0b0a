// Checks of decoded JSON. Fields that the console does not know are ignored, so that it goes with newer servers.
import type { Check } from "./request";

export const text: Check<string> = (value, at) => {
  if (typeof value !== "string") throw wrong(at, "text", value);
  return value;
};

export const number: Check<number> = (value, at) => {
  if (typeof value !== "number") throw wrong(at, "a number", value);
  return value;
};

export const flag: Check<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw wrong(at, "true or false", value);
  return value;
};

/** Absent and null are undefined. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, at) => (value === undefined || value === null ? undefined : check(value, at));
}

/** Absent and null are an empty text. */
export const orEmpty: Check<string> = (value, at) => optional(text)(value, at) ?? "";

/** Absent and null are false. */
export const orFalse: Check<boolean> = (value, at) => optional(flag)(value, at) ?? false;

/** Absent and null are zero. */
export const orZero: Check<number> = (value, at) => optional(number)(value, at) ?? 0;

/** Absent and null are an empty list. */
export function list<T>(check: Check<T>): Check<T[]> {
  return (value, at) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw wrong(at, "a list", value);
    return value.map((item, i) => check(item, `${at}[${i}]`));
  };
}

export const texts: Check<Record<string, string>> = (value, at) => {
  if (value === undefined || value === null) return {};
  const all: Record<string, string> = {};
  for (const [key, v] of Object.entries(fields(value, at))) all[key] = text(v, `${at}.${key}`);
  return all;
};

type Shape = Record<string, Check<unknown>>;
type Out<S extends Shape> = { [K in keyof S]: S[K] extends Check<infer T> ? T : never };

/** What a check returns. */
export type Of<C> = C extends Check<infer T> ? T : never;

export function shape<S extends Shape>(of: S): Check<Out<S>> {
  return (value, at) => {
    const from = fields(value, at);
    const out: Record<string, unknown> = {};
    for (const [key, check] of Object.entries(of)) {
      const got = check(from[key], `${at}.${key}`);
      if (got !== undefined) out[key] = got;
    }
    return out as Out<S>;
  };
}

function fields(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "an object", value);
  return value as Record<string, unknown>;
}

function wrong(at: string, want: string, got: unknown): Error {
  const what = got === undefined ? "nothing" : JSON.stringify(got);
  return new Error(`${at} is ${what.length > 60 ? what.slice(0, 60) + "..." : what}, not ${want}`);
}
