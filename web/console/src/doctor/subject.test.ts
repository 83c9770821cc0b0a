import { expect, test } from "vitest";
import { askAbout, askedIn, askText, bundleCommand, commandOf, kindIn, mostSuggested, nameIn, queryOf, quote, suggest, type Named } from "./subject";

const named = (kind: Named["kind"], name: string, id = 1): Named => ({ kind, name, id, where: "" });
const all = [named("instance", "chat-1"), named("instance", "my-chat"), named("model", "chat"), named("worker", "gpu-chat"), named("instance", "two", 7), named("instance", "two", 8)];

test("suggestions: equal, then beginning with it, then having it", () => {
  expect(suggest(all, " CHAT ").map((n) => n.name)).toEqual(["chat", "chat-1", "my-chat", "gpu-chat"]);
  expect(suggest(all, "nothing")).toEqual([]);
  expect(suggest(Array.from({ length: 1000 }, (_, i) => named("instance", `i${i}`, i)), "")).toHaveLength(mostSuggested);
});

test("one of several with the same name is asked for by its id", () => {
  expect(askAbout(all[0]!, all)).toEqual({ instance: "chat-1" });
  expect(askAbout(all[5]!, all)).toEqual({ instance: "8" });
});

test.each([
  ["", {}],
  [" chat-1 ", { subject: "chat-1" }],
  ["gpustack:x_total", { metric: "gpustack:x_total" }],
])("%o asks for %o", (text, want) => expect(askText(text)).toEqual(want));

test.each([
  ["", "", undefined, "stackscope doctor"],
  ["?instance=a%26b", "a&b", "instance", "stackscope doctor --instance 'a&b'"],
  ["?subject=chat", "chat", undefined, "stackscope doctor chat"],
  ["?instance=i&metric=gpustack%3Ax", "i", "instance", "stackscope doctor --instance i --metric gpustack:x"],
  ["?worker=--help", "--help", "worker", "stackscope doctor --worker '--help'"],
])("%s", (query, name, kind, command) => {
  const asked = askedIn(new URLSearchParams(query));
  expect([queryOf(asked), nameIn(asked), kindIn(asked), commandOf(asked, "")]).toEqual([query, name, kind, command]);
});

test("parameters of others are left out", () => expect(askedIn(new URLSearchParams("?x=1&instance=%20&model=m"))).toEqual({ model: "m" }));

test("the command for a bug report names its server", () =>
  expect(bundleCommand("http://127.0.0.1:8081")).toBe("stackscope doctor --server-url http://127.0.0.1:8081 --bundle stackscope-bundle.tar.gz"));

test("the command names its server", () => expect(commandOf({}, "https://gpu.example:8443")).toBe("stackscope doctor --server-url https://gpu.example:8443"));

test("a quote within a name", () => expect(quote("it's")).toBe("'it'\\''s'"));
