// Links of panels and cells: Grafana's placeholders, and which URLs are allowed.
import type { Labels } from "../model/panel";
import { filled, type Values } from "../prometheus/template";
import type { TimeRange } from "./timerange";
import { all } from "./variables";

/** A URL if a page may lead to it: http(s), or a path of this server. */
export function allowed(url: string): string | undefined {
  if (/[\u0000-\u0020\\]/.test(url)) return undefined;
  return /^https?:\/\//i.test(url) || /^\/(?!\/)/.test(url) ? url : undefined;
}

/** Fills a link's placeholders. A parameter of the query whose value is absent is left out; a path that misses one is no link. */
export function fillLink(template: string, values: Values, time: TimeRange, fields: Labels, labels: Labels): string | undefined {
  const [path, query] = split(template);
  const filledPath = path.replace(placeholder, (whole) => encodeURIComponent(one(whole, values, fields, labels) ?? ""));
  if (/^\/d\/(?:\/|$)/.test(filledPath) || filledPath === "") return undefined;
  const parameters: string[] = [];
  for (const part of query === undefined ? [] : query.split("&")) {
    if (part === "${__url_time_range}") {
      parameters.push(`from=${encodeURIComponent(time.from)}`, `to=${encodeURIComponent(time.to)}`);
      continue;
    }
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    const value = at < 0 ? "" : part.slice(at + 1);
    const v = variable(value, values);
    if (v) {
      for (const x of v.all ? [all] : v.values) parameters.push(`${name}=${encodeURIComponent(x)}`);
      continue;
    }
    let missing = false;
    const text = value.replace(placeholder, (whole) => {
      const x = one(whole, values, fields, labels);
      if (!x) missing = true;
      return encodeURIComponent(x ?? "");
    });
    if (!missing) parameters.push(at < 0 ? name : `${name}=${text}`);
  }
  return allowed(parameters.length > 0 ? `${filledPath}?${parameters.join("&")}` : filledPath);
}

const placeholder = /\$\{[^}]+\}|\$\w+/g;

function split(url: string): [string, string | undefined] {
  const at = url.indexOf("?");
  return at < 0 ? [url, undefined] : [url.slice(0, at), url.slice(at + 1)];
}

/** The variable, if a text is nothing but its placeholder. */
function variable(text: string, values: Values) {
  const name = /^\$(?:\{(\w+)\}|(\w+))$/.exec(text);
  const key = name?.[1] ?? name?.[2];
  return key !== undefined && Object.hasOwn(values, key) ? values[key] : undefined;
}

function one(whole: string, values: Values, fields: Labels, labels: Labels): string | undefined {
  const field = /^\$\{__data\.fields\.(.+)\}$/.exec(whole);
  if (field) return fields[field[1]!];
  const label = /^\$\{__field\.labels\.(.+)\}$/.exec(whole);
  if (label) return labels[label[1]!];
  const v = variable(whole, values);
  if (!v) return undefined;
  return v.all ? all : v.values.length === 1 ? v.values[0] : filled(v);
}
