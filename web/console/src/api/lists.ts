// Lists of the inventory, kept current by the watch stream.
import { useEffect, useState } from "preact/hooks";
import { Live, type Listed } from "./live";
import type { Check } from "./request";
import { watch } from "./watch";

export type { Listed } from "./live";

/** Lists live as long as the page, so that going back to one shows it at once. */
const lists = new Map<string, Live<unknown>>();

function listOf<T>(path: string, check: Check<T>): Live<T> {
  let list = lists.get(path);
  if (!list) lists.set(path, (list = new Live<unknown>(path, check)));
  return list as Live<T>;
}

/** A list of the inventory, live. */
export function useList<T>(path: string, check: Check<T>): Listed<T> {
  const list = listOf(path, check);
  const [now, set] = useState(() => list.value.get());
  useEffect(() => {
    set(list.value.get());
    const unfollow = list.value.follow(set);
    list.refresh();
    const unwatch = watch(() => list.refresh());
    return () => {
      unfollow();
      unwatch();
    };
  }, [list]);
  return now;
}
