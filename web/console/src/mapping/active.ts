// The active mapping, and what completion knows: the schema and the built-in document.
import { generationOf } from "../api/change";
import { list, flag, number, optional, shape } from "../api/check";
import { failure, json, request } from "../api/request";
import { builtinOf, type Builtin } from "./editor/complete";
import type { Schema } from "./editor/schema";

export interface Active {
  /** YAML. */
  text: string;
  generation: number;
  builtIn: boolean;
}

const yaml = { Accept: "application/yaml, application/json;q=0.5" };

async function textOf(path: string): Promise<{ text: string; tag: number }> {
  const response = await request(path, { headers: yaml });
  if (!response.ok) throw await failure(response);
  const tag = generationOf(response) ?? 0;
  const text = await response.text();
  if (!/json/.test(response.headers.get("Content-Type") ?? "")) return { text, tag };
  return { text: JSON.stringify(JSON.parse(text), null, 2) + "\n", tag }; // an older server; JSON is YAML, too
}

const listed = shape({ items: list(shape({ generation: number, active: optional(flag), default: optional(flag) })) });

export async function loadActive(): Promise<Active> {
  const { text, tag: generation } = await textOf("/v2/metrics/config");
  return { text, generation, builtIn: generation === 0 || (await isDefault(generation)) };
}

/** Whether a generation is the built-in document: DELETE makes one. */
async function isDefault(generation: number): Promise<boolean> {
  try {
    const { items } = await json("/v2/metrics/config/generations?perPage=1", listed);
    const item = items.find((g) => g.generation === generation);
    if (item) return item.default ?? false;
  } catch {
    // an older server, or a newer generation came between
  }
  const [active, builtIn] = await Promise.all([json<unknown>("/v2/metrics/config"), json<unknown>("/v2/metrics/default-config")]);
  return JSON.stringify(active) === JSON.stringify(builtIn);
}

/** The number of the active generation; undefined if the server does not say it now. */
export async function activeGeneration(): Promise<number | undefined> {
  const response = await request("/v2/metrics/config", { method: "HEAD" }).catch(() => undefined);
  return response?.ok ? generationOf(response) : undefined;
}

/** The built-in document as YAML. */
export const loadBuiltInText = async (): Promise<string> => {
  try {
    return (await textOf("/v2/metrics/config/generations/0")).text;
  } catch {
    return (await textOf("/v2/metrics/default-config")).text; // an older server
  }
};

export interface Known {
  schema?: Schema;
  builtin?: Builtin;
}

/** What completion knows; without an answer it knows less. */
export async function loadKnown(): Promise<Known> {
  const [schema, builtin] = await Promise.all([json<Schema>("/v2/metrics/config/schema").catch(() => undefined), json<unknown>("/v2/metrics/default-config").catch(() => undefined)]);
  return { ...(schema ? { schema } : {}), ...(builtin === undefined ? {} : { builtin: builtinOf(builtin) }) };
}
