// What the doctor is asked about: the URL, the suggestions, and the command that asks the same.

export const kinds = ["instance", "worker", "model", "metric"] as const;
export type Kind = (typeof kinds)[number];

/** What is asked about; nothing is the fleet. A metric may stand beside one of the others, and a worker beside an instance. */
export type Asked = Partial<Record<Kind | "subject", string>>;

/** Reads the query of the page's URL. */
export function askedIn(query: URLSearchParams): Asked {
  const asked: Asked = {};
  for (const name of [...kinds, "subject"] as const) {
    const value = query.get(name)?.trim();
    if (value) asked[name] = value;
  }
  return asked;
}

/** The query of an address, with its question mark; of the page as of the API. */
export function queryOf(asked: Asked): string {
  const query = new URLSearchParams();
  for (const name of ["subject", ...kinds] as const) if (asked[name]) query.set(name, asked[name]);
  const text = query.toString();
  return text === "" ? "" : "?" + text;
}

/** The name that stands in the field. */
export function nameIn(asked: Asked): string {
  return asked.subject ?? asked.instance ?? asked.model ?? asked.worker ?? asked.metric ?? "";
}

/** The kind of the name in the field; undefined if the server is to find it. */
export function kindIn(asked: Asked): Kind | undefined {
  if (asked.subject !== undefined) return undefined;
  return (["instance", "model", "worker", "metric"] as const).find((kind) => asked[kind] !== undefined);
}

/** Something that can be asked about. */
export interface Named {
  kind: Kind;
  name: string;
  /** Of several with the same name, what tells them apart. */
  where: string;
  id: number;
}

/** At most this many are offered. */
export const mostSuggested = 12;

/** What fits a text, the best first: equal, beginning with it, having it; all of a kind's order otherwise. */
export function suggest(all: readonly Named[], text: string): Named[] {
  const wanted = text.trim().toLowerCase();
  const rank = (n: Named) => {
    const name = n.name.toLowerCase();
    return name === wanted ? 0 : name.startsWith(wanted) ? 1 : name.includes(wanted) ? 2 : 3;
  };
  return all
    .map((n) => ({ n, rank: rank(n) }))
    .filter((r) => r.rank < 3)
    .sort((a, b) => a.rank - b.rank || kinds.indexOf(a.n.kind) - kinds.indexOf(b.n.kind) || a.n.name.localeCompare(b.n.name))
    .slice(0, mostSuggested)
    .map((r) => r.n);
}

/** What is asked when something is chosen; one of several with the same name by its id. */
export function askAbout(chosen: Named, all: readonly Named[]): Asked {
  const alike = all.filter((n) => n.kind === chosen.kind && n.name === chosen.name).length;
  return { [chosen.kind]: alike > 1 ? String(chosen.id) : chosen.name };
}

/** What is asked when a text is entered. */
export function askText(text: string): Asked {
  const name = text.trim();
  if (name === "") return {};
  return /^gpustack:/.test(name) ? { metric: name } : { subject: name };
}

/** The command that asks the same of a server. */
export function commandOf(asked: Asked, server: string): string {
  const words = ["stackscope", "doctor"];
  if (asked.subject !== undefined) words.push(quote(asked.subject));
  for (const kind of kinds) if (asked[kind] !== undefined) words.push(`--${kind}`, quote(asked[kind]));
  if (server !== "") words.push("--server-url", quote(server));
  return words.join(" ");
}

/** The command that makes a file for a bug report of a server. */
export function bundleCommand(server: string): string {
  return commandOf({}, server) + " --bundle stackscope-bundle.tar.gz";
}

/** A word as a shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
