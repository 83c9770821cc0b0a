// The dashboards, each asked for once in the page's life.
import { request } from "../api/request";
import type { Dashboard } from "../model/dashboard";
import { t } from "../texts";

export interface Listed {
  uid: string;
  title: string;
  description: string;
  slug: string;
}

export class Missing extends Error {}

const kept = new Map<string, Promise<unknown>>();

function once<T>(path: string): Promise<T> {
  let promise = kept.get(path) as Promise<T> | undefined;
  if (!promise) {
    promise = load<T>(path);
    kept.set(path, promise);
    promise.catch(() => kept.delete(path)); // the next one asks again
  }
  return promise;
}

async function load<T>(path: string): Promise<T> {
  const response = await request(path);
  if (response.status === 404) throw new Missing(path);
  if (!response.ok) throw new Error(t.shell.failures.status(response.status));
  return (await response.json()) as T;
}

export const loadDashboard = (uid: string) => once<Dashboard>("/console/dashboards/" + encodeURIComponent(uid));
export const loadList = async () => (await once<{ items: Listed[] }>("/console/dashboards")).items;
