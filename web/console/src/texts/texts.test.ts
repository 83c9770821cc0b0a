import { expect, test } from "vitest";
import { order } from "../fleet/states";
import { doctor } from "./en/doctor";
import { lists } from "./en/lists";
import { mapping } from "./en/mapping";
import { mappingchange } from "./en/mappingchange";
import { languages, pick } from "./language";
import { t } from ".";
import { texts } from "./zh";
import { doctor as doctorZh } from "./zh/doctor";
import { mapping as mappingZh } from "./zh/mapping";
import { mappingchange as mappingchangeZh } from "./zh/mappingchange";

const en = { ...t, doctor, lists, mapping, mappingchange };
const zh = { ...texts, doctor: doctorZh, mapping: mappingZh, mappingchange: mappingchangeZh };

type Text = string | ((...args: unknown[]) => string);

/** Every text with its path. */
function all(of: object, path = ""): [string, Text][] {
  return Object.entries(of).flatMap(([key, value]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return typeof value === "object" ? all(value as object, at) : [[at, value as Text] as [string, Text]];
  });
}

const english = new Map(all(en));
const chinese = new Map(all(zh));

const mark = (i: number) => `⟦${i}⟧`;
const given: Record<string, unknown[]> = {
  "charts.summary": [{ title: mark(0), what: mark(1), range: mark(2), values: [mark(3), mark(4)], more: 2 }],
  "shell.gone": [mark(0), [mark(1), mark(2)]],
  "shell.goneShort": [mark(0), [mark(1), mark(2)]],
  "shell.goneOthers": [[mark(0), mark(1)]],
  "shell.others": [mark(0), [mark(1)], mark(2), [mark(3)]],
  "shell.empty": [[mark(0), mark(1)]],
  "shell.unknown": [[mark(0), mark(1)]],
  "shell.ago": [4000],
  "doctor.leftOut": [2],
};
// The unit's name is translated, and its plural is English alone.
const units: Record<string, unknown[]> = { "format.whole": [3, "day"], "format.behind": ["day", true], "format.one": ["day"] };

const say = (path: string, text: Text) => (typeof text === "string" ? text : text(...(units[path] ?? given[path] ?? [0, 1, 2, 3, 4].map(mark))));
const marks = (text: string) => [...new Set(text.match(/⟦\d⟧/g))].sort();

test("both languages have the same texts", () => {
  // English shows most states by the names of the API.
  const keys = (of: Map<string, Text>) => [...of.keys()].filter((k) => !k.startsWith("lists.stateNames.")).sort();
  expect(keys(chinese)).toEqual(keys(english));
  expect(Object.keys(zh.lists.stateNames)).toEqual(expect.arrayContaining([...Object.keys(en.lists.stateNames), ...order]));
});

test.each([...english].filter(([, text]) => typeof text === "function"))("%s says in both languages what it is given", (path, text) => {
  const other = chinese.get(path);
  expect(other).toBeTypeOf("function");
  expect(marks(say(path, other!))).toEqual(marks(say(path, text)));
});

test.each([...chinese].filter(([, text]) => typeof text === "string"))("%s is a text in both languages", (path) => {
  if (!path.startsWith("lists.stateNames.")) expect(english.get(path)).toBeTypeOf("string");
});

// Names of products, protocols, formats, files and keys, and the words that operators use in English.
const technical = new Set(
  (
    "admin-token amd-smi CPU CSV Ctrl-F Ctrl-S Ctrl-Space Decode default DATA_DIR Enter Escape extends GPU gpustack GPUStack Grafana HTTP JSON KV llama.cpp MB MindIE now-2d now-90m npu-smi NVIDIA NVML " +
    "OpenAPI PD Prefill Prometheus rocm-smi SGLang Shift start Tab YAML MiB stackscope stackscope-worker TensorRT-LLM token token/s TTFT vLLM worker worker-token p95"
  ).split(" "),
);

test.each([...chinese])("%s has no English word by accident", (path, text) => {
  if (path === "format.dates" || path === "format.month") return; // options of Intl
  if (path === "lists.noGPUsHow") text = (text as string).replace("GPU health", ""); // the title of a dashboard
  const words = say(path, text)
    .replace(/⟦\d⟧/g, "")
    .replace(/extends: default|--[a-z-]+(?: all)?|https?:\/\/\S+|(?<!\w)\/[a-z]+/g, "") // lines of documents, flags, addresses, paths
    .match(/[A-Za-z][\w.+-]*(?:\/s)?/g);
  expect((words ?? []).map((w) => w.replace(/\.$/, "")).filter((w) => !technical.has(w) && !w.startsWith("DATA_DIR"))).toEqual([]);
});

test.each([...chinese])("%s has Chinese punctuation between Chinese words", (path, text) => {
  expect(say(path, text)).not.toMatch(/[\u4e00-\u9fff][,.:;!?]|[,:;!?][\u4e00-\u9fff]/);
});

test.each([
  [null, ["zh-CN", "en"], "zh"],
  [null, ["zh"], "zh"],
  [null, ["ZH-Hant-TW"], "zh"],
  [null, ["en-US", "zh-CN"], "en"],
  [null, ["fr-FR", "zh-CN", "en"], "zh"],
  [null, ["fr"], "en"],
  [null, [], "en"],
  ["en", ["zh-CN"], "en"],
  ["zh", ["en-US"], "zh"],
  ["constructor", ["zh-CN"], "zh"],
])("the choice %o and the browser's languages %o show %s", (chosen, wanted, shown) => {
  expect(pick(chosen, wanted)).toBe(shown);
  expect(Object.keys(languages)).toContain(shown);
});
