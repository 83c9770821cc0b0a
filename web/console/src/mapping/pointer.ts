// Places and values of a mapping, as they are read.

/** The keys of a JSON pointer (RFC 6901): those of /a/b~1c are "a › b/c". */
export function placeOf(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(" › ");
}

/** JSON on several lines where it has several values; a text that is no JSON stays. */
export function pretty(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "string" ? value : JSON.stringify(value, null, 2);
  } catch {
    return json;
  }
}
