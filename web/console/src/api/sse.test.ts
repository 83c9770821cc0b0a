import { expect, test } from "vitest";
import { EventParser } from "./sse";

const stream = ': hello\n\nevent: changed\ndata: {"tag":"a"}\n\nevent: changed\r\ndata: {"tag":\r\ndata: "b"}\r\n\r\ndata:c\n\nevent: empty\n\ndata: unfinished';
const events = [
  { event: "changed", data: '{"tag":"a"}' },
  { event: "changed", data: '{"tag":\n"b"}' },
  { event: "message", data: "c" },
];

test("gives the same events whatever the pieces are", () => {
  for (let size = 1; size <= stream.length; size++) {
    const parser = new EventParser();
    const got = [];
    for (let i = 0; i < stream.length; i += size) got.push(...parser.push(stream.slice(i, i + size)));
    expect(got).toEqual(events);
  }
});

test("drops what is too long and goes on", () => {
  const parser = new EventParser();
  expect(parser.push("data: " + "x".repeat(70_000))).toEqual([]);
  expect(parser.push("\n\ndata: next\n\n")).toEqual([{ event: "message", data: "next" }]);
});
