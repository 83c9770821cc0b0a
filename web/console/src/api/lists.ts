// Lists of the inventory, kept current by the watch stream.
import { useEffect, useState } from "preact/hooks";
import { decoded, failure, request, RequestError, type Check } from "./request";
import { Value } from "./value";
import { watch } from "./watch";

/** What is known of a list. */
export interface Listed<T> {
  /** The last good answer; undefined before the first. */
  items?: T;
  /** Why the last request failed; items are then old. */
  error?: RequestError;
  /** When items were last confirmed, milliseconds since the epoch. */
  at?: number;
  /** The server has no such list: it is older than the console. */
  older?: boolean;
}

interface Kept {
  value: Value<Listed<unknown>>;
  etag?: string;
  asking?: Promise<void>;
  again?: boolean;
}

const kept = new Map<string, Kept>();

function keep(path: string): Kept {
  let list = kept.get(path);
  if (!list) kept.set(path, (list = { value: new Value<Listed<unknown>>({}) }));
  return list;
}

/** Asks for the list now, once at a time; a change while it is asked makes it ask again. */
function refresh<T>(path: string, check: Check<T>): void {
  const list = keep(path);
  if (list.asking) {
    list.again = true;
    return;
  }
  list.asking = ask(path, list, check).finally(() => {
    delete list.asking;
    if (list.again) {
      list.again = false;
      refresh(path, check);
    }
  });
}

async function ask<T>(path: string, list: Kept, check: Check<T>): Promise<void> {
  const before = list.value.get();
  try {
    const response = await request(path, list.etag === undefined ? {} : { headers: { "If-None-Match": list.etag } });
    if (response.status === 304) {
      list.value.set(good(before.items));
      return;
    }
    if (!response.ok) throw await failure(response);
    const items = decoded(path, await response.json(), check);
    const etag = response.headers.get("ETag");
    if (etag === null) delete list.etag;
    else list.etag = etag;
    list.value.set(good(items));
  } catch (thrown) {
    const error = thrown instanceof RequestError ? thrown : new RequestError(0, String(thrown), "");
    const older = error.status === 404;
    list.value.set({ ...before, error, ...(older ? { older } : {}) });
  }
}

function good(items: unknown): Listed<unknown> {
  return { items, at: Date.now() };
}

/** A list of the inventory, live. An undefined path asks nothing. */
export function useList<T>(path: string | undefined, check: Check<T>): Listed<T> {
  const [now, set] = useState<Listed<T>>(() => (path === undefined ? {} : (keep(path).value.get() as Listed<T>)));
  useEffect(() => {
    if (path === undefined) return;
    const list = keep(path);
    set(list.value.get() as Listed<T>);
    const unfollow = list.value.follow((value) => set(value as Listed<T>));
    const changed = () => refresh(path, check);
    changed();
    const unwatch = watch(changed);
    return () => {
      unfollow();
      unwatch();
    };
  }, [path, check]);
  return now;
}
