// What the JSON Schema of mappings says about a place.

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  description?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
}

function resolve(root: Schema, schema: Schema, depth = 0): Schema[] {
  if (depth > 8) return [];
  const all: Schema[] = [];
  const name = schema.$ref?.match(/^#\/\$defs\/(.+)$/)?.[1];
  if (name !== undefined) {
    const referred = root.$defs?.[name];
    if (referred) all.push(...resolve(root, schema.description === undefined ? referred : { ...referred, description: schema.description }, depth + 1));
  } else all.push(schema);
  for (const one of [...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]) all.push(...resolve(root, one, depth + 1));
  return all;
}

/** The schemas that a value at a path may have; "-" is any item of a list. */
export function schemasAt(root: Schema, path: readonly string[]): Schema[] {
  let here = resolve(root, root);
  for (const key of path) {
    here = here.flatMap((schema) => {
      if (key === "-") return schema.items ? resolve(root, schema.items) : [];
      const own = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
      if (own) return resolve(root, own);
      return typeof schema.additionalProperties === "object" ? resolve(root, schema.additionalProperties) : [];
    });
  }
  return here;
}

export interface Key {
  name: string;
  description: string;
  /** What its value is, for what is inserted after it. */
  takes: "text" | "map" | "list";
}

/** The keys that the schema names at a path. */
export function keysAt(root: Schema, path: readonly string[]): Key[] {
  const keys = new Map<string, Key>();
  for (const schema of schemasAt(root, path)) {
    for (const [name, of] of Object.entries(schema.properties ?? {})) {
      const all = resolve(root, of);
      const is = (type: string) => all.some((s) => s.type === type);
      // A label alone may stand for a list of labels, but a list shows how more are written.
      const takes = is("array") ? "list" : is("object") && !is("string") ? "map" : "text";
      keys.set(name, { name, description: all.find((s) => s.description !== undefined)?.description ?? "", takes });
    }
  }
  return [...keys.values()];
}

/** The values that the schema lists at a path. */
export function valuesAt(root: Schema, path: readonly string[]): string[] {
  const values = schemasAt(root, path).flatMap((s) => [...(s.enum ?? []), ...(s.const === undefined ? [] : [s.const]), ...([s.type].flat().includes("boolean") ? ["true"] : [])]);
  return [...new Set(values.map(String))];
}

export function descriptionAt(root: Schema, path: readonly string[]): string {
  return schemasAt(root, path).find((s) => s.description !== undefined)?.description ?? "";
}
