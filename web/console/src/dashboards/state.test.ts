import { describe, expect, test } from "vitest";
import type { Variable } from "../model/dashboard";
import { absolute, isRelative, lastOf, localInput, parseTime, rangeOf, refreshOf, resolve, shifted, widened } from "./timerange";
import { all, asFilled, choose, chooseAll, decided, fromURL, labelValuesOf, valuesOf, write } from "./variables";

const q = (text: string) => new URLSearchParams(text);

describe("time", () => {
  test.each([["now", 1000], ["now-5m", 700], ["now-1h30m", -4400], ["now+5s", 1005], ["1700000000000", 1.7e9], ["1700000000", 1.7e9], ["2023-11-14T22:13:20Z", 1.7e9]])("%s", (text, at) => expect(parseTime(text, 1000)).toBe(at));
  test.each(["", "now-", "now-5x", "yesterday", "12", "now/d"])("%j is no time", (text) => expect(parseTime(text, 1000)).toBeUndefined());
  test("the URL's range, or the dashboard's", () => {
    expect(rangeOf(q(""), "now-1h")).toEqual({ from: "now-1h", to: "now" });
    expect(rangeOf(q("from=now-90m"), "now-1h")).toEqual({ from: "now-90m", to: "now" });
    expect(rangeOf(q("from=1700000000000&to=1700000060000"), "now-1h")).toEqual({ from: "1700000000000", to: "1700000060000" });
    expect(rangeOf(q("from=1700000000000"), "now-1h")).toEqual({ from: "1700000000000", to: "now" });
    expect(rangeOf(q("from=1700000060000&to=1700000000000"), "now-1h")).toEqual({ from: "now-1h", to: "now" });
    expect(rangeOf(q("from=bad"), "now-1h")).toEqual({ from: "now-1h", to: "now" });
    for (const far of ["from=99999999999999999999&to=999999999999999999999", "from=now-9999y", "from=now-1h&to=now%2B99999999999y"]) expect(rangeOf(q(far), "now-1h")).toEqual({ from: "now-1h", to: "now" });
  });
  test("seconds of a range", () => {
    expect(resolve({ from: "now-30m", to: "now" }, 10_000)).toEqual({ from: 8200, to: 10_000 });
    const odd = resolve({ from: "1700000000000", to: "now" }, 5);
    expect(odd.from).toBeLessThan(odd.to);
  });
  test("relative or not", () => {
    expect(isRelative({ from: "now-1h", to: "now" })).toBe(true);
    expect(isRelative({ from: "1", to: "2" })).toBe(false);
    expect(lastOf({ from: "now-1h", to: "now" })).toBe("1h");
    expect(lastOf({ from: "now-2h", to: "now-1h" })).toBeUndefined();
  });
  test("a zoom is written in milliseconds, at least a second long", () => {
    expect(absolute({ from: 1.5, to: 3 })).toEqual({ from: "1500", to: "3000" });
    expect(absolute({ from: 1.5, to: 1.6 })).toEqual({ from: "1500", to: "2500" });
  });
  test("earlier, later, wider; never later than now", () => {
    expect(shifted({ from: 1000, to: 2000 }, -1, 5000)).toEqual({ from: "500000", to: "1500000" });
    expect(shifted({ from: 1000, to: 2000 }, 1, 2100)).toEqual({ from: "1100000", to: "2100000" });
    expect(widened({ from: 1000, to: 2000 }, 5000)).toEqual({ from: "500000", to: "2500000" });
    expect(widened({ from: 1000, to: 2000 }, 2000)).toEqual({ from: "0", to: "2000000" });
  });
  test("an input's text reads back as the same time", () => expect(Date.parse(localInput(1.7e9)) / 1000).toBe(1.7e9));
  test("refresh", () => {
    expect(refreshOf(q(""), "30s")).toEqual({ text: "30s", seconds: 30 });
    expect(refreshOf(q("refresh=1m"), "30s")).toEqual({ text: "1m", seconds: 60 });
    expect(refreshOf(q("refresh=off"), "30s")).toEqual({ text: "off" });
    expect(refreshOf(q("refresh="), "30s")).toEqual({ text: "off" });
    expect(refreshOf(q("refresh=1s"), "30s").seconds).toBe(5);
  });
});

describe("variables", () => {
  const cluster: Variable = { name: "cluster_name", label: "Cluster", query: 'label_values({__name__=~"a|b"}, cluster_name)' };
  const model: Variable = { name: "model_name", label: "Model", query: 'label_values(gpustack:x{cluster_name="$cluster_name"}, model_name)' };
  const instance: Variable = { name: "instance", label: "Instance", query: 'label_values(y{cluster_name="$cluster_name", model_name="$model_name"}, instance)', multi: true, all: true };
  const price: Variable = { name: "price", label: "Price", text: "0.20" };
  const role: Variable = { name: "role", label: "Role", custom: ["prefill", "decode"], multi: true, all: true };

  test("label_values", () => {
    expect(labelValuesOf(cluster.query!)).toEqual({ selector: '{__name__=~"a|b"}', label: "cluster_name" });
    expect(labelValuesOf('label_values(x{a="b, c"}, d)')).toEqual({ selector: 'x{a="b, c"}', label: "d" });
    expect(labelValuesOf("label_values(job)")).toEqual({ label: "job" });
    expect(labelValuesOf("query_result(up)")).toBeUndefined();
  });
  test("values of the URL", () => {
    expect(fromURL(instance, q("var-instance=a&var-instance=b&var-instance=a"))).toEqual(["a", "b"]);
    expect(fromURL(instance, q("var-instance=a&var-instance=$__all"))).toEqual([all]);
    expect(fromURL(instance, q("var-instance=All"))).toEqual([all]);
    expect(fromURL(cluster, q("var-cluster_name=a&var-cluster_name=b"))).toEqual(["a"]);
    expect(fromURL(cluster, q("var-cluster_name=All"))).toEqual(["All"]);
    expect(fromURL(cluster, q("var-cluster_name="))).toBeUndefined();
    expect(fromURL(price, q("var-price="))).toEqual([""]);
  });
  test("defaults: All where there is one, else the first", () => {
    expect(choose(role, q("")).values).toEqual([all]);
    expect(choose({ name: "q", label: "Q", custom: ["0.99", "0.5"] }, q("")).values).toEqual(["0.99"]);
    expect(choose(price, q("")).values).toEqual(["0.20"]);
    expect(choose(cluster, q("")).values).toEqual([]);
    expect(choose(cluster, q(""), ["a", "b"]).values).toEqual(["a"]);
    expect(choose(cluster, q(""), []).values).toEqual([]);
  });
  test("a value that is gone stays chosen and is told", () => {
    const c = choose(instance, q("var-instance=a&var-instance=gone"), ["a", "b"]);
    expect(c.values).toEqual(["a", "gone"]);
    expect(c.missing).toEqual(["gone"]);
    expect(choose(instance, q("var-instance=gone")).missing).toEqual([]);
  });
  test("chained ones wait only for what they need", () => {
    const known = new Map<string, string[]>();
    const look = (query: string) => chooseAll([cluster, model, instance], q(query), 1800, (key) => known.get(key));
    let { chosen, asks } = look("");
    expect(asks.map((a) => a.name)).toEqual(["cluster_name"]);
    expect(chosen.map(decided)).toEqual([false, false, true]);
    known.set(asks[0]!.key, ["c1", "c2"]);
    ({ chosen, asks } = look(""));
    expect(asks.map((a) => a.selector)).toEqual(['{__name__=~"a|b"}', 'gpustack:x{cluster_name="c1"}']);
    known.set(asks[1]!.key, ["m1"]);
    ({ chosen, asks } = look(""));
    expect(valuesOf(chosen)).toMatchObject({ cluster_name: { values: ["c1"] }, model_name: { values: ["m1"] }, instance: { all: true } });
    expect(asks[2]!.selector).toBe('y{cluster_name="c1", model_name="m1"}');
    ({ chosen, asks } = look("var-cluster_name=c2")); // the first cluster's models are not this one's
    expect(asks[1]!.selector).toBe('gpustack:x{cluster_name="c2"}');
    expect(chosen[1]!.values).toEqual([]);
    expect(look("var-cluster_name=c1&var-model_name=m9").asks).toHaveLength(3); // the URL names them: all at once
  });
  test("a cluster that nothing reports ends the chain", () => {
    const { chosen, asks } = chooseAll([cluster, model], q(""), 60, (key) => (key.startsWith("cluster_name ") ? [] : undefined));
    expect(decided(chosen[0]!)).toBe(true);
    expect(asks[1]!.selector).toBe('gpustack:x{cluster_name=""}');
  });
  test("for queries", () => {
    expect(asFilled(choose(role, q("var-role=decode")))).toEqual({ values: ["decode"], pattern: true });
    expect(asFilled(choose(cluster, q("var-cluster_name=c")))).toEqual({ values: ["c"], pattern: false });
    expect(asFilled(choose({ ...cluster, all: true }, q("")))).toEqual({ all: true, values: [], pattern: true });
  });
  test("another cluster drops the model and the instances of the old one", () => {
    const query = q("var-cluster_name=c1&var-model_name=m&var-instance=i&from=now-1h");
    write(query, [cluster, model, instance], "cluster_name", ["c2"]);
    expect(query.toString()).toBe("from=now-1h&var-cluster_name=c2");
    write(query, [cluster, model, instance], "instance", ["a", "b"]);
    expect(query.getAll("var-instance")).toEqual(["a", "b"]);
    expect(query.get("var-cluster_name")).toBe("c2");
  });
});
