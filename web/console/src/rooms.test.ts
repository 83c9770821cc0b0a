import { expect, test } from "vitest";

/** The rooms from the top down, as docs/architecture.md has them: a room imports those below it, and none beside it but where a set says so. */
const floors = [["doctor", "mapping"], ["fleet"], ["dashboards"], ["charts", "cells"], ["prometheus"], ["api"], ["format", "look", "model", "texts"]];
const beside = new Set(["format model", "format texts", "look model"]);

const sources = import.meta.glob<string>(["./*/**/*.{ts,tsx}", "!./**/*.test.*"], { query: "?raw", import: "default", eager: true });
const floorOf = (room: string) => floors.findIndex((f) => f.includes(room));

/** The rooms that a source imports. */
function roomsIn(path: string, source: string): string[] {
  const up = path.split("/").length - 2; // to the folder of the rooms
  const room = new RegExp(`(?:from|import\\(?)\\s*"${"\\.\\./".repeat(up)}([a-z]+)["/]`, "g");
  return [...source.matchAll(room)].map((m) => m[1]!).filter((name) => floorOf(name) >= 0);
}

test("imports point down", () => {
  const wrong: string[] = [];
  for (const [path, source] of Object.entries(sources)) {
    const room = path.split("/")[1]!;
    if (floorOf(room) < 0) wrong.push(`${path} is in a room that is not listed`);
    for (const other of roomsIn(path, source)) if (other !== room && floorOf(other) <= floorOf(room) && !beside.has(`${room} ${other}`)) wrong.push(`${path} imports ${other}`);
  }
  expect(Object.keys(sources).length).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});
