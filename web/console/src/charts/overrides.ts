// What a panel's overrides say of a series, by Grafana's rules.
import { seriesName } from "../format";
import type { Panel, Threshold, Value } from "../model/dashboard";
import type { Labels } from "../model/panel";
import { t } from "../texts";

export interface Look {
  color?: string;
  fill: number; // 0 to 1
  width: number;
  dash?: number[];
  stepped: boolean;
  stacked: boolean;
  softMax?: number;
  values: readonly Value[];
  thresholds: readonly Threshold[];
}

/** A series' name: by the query's legend, by its labels where that leaves nothing. */
export function nameOf(panel: Panel, query: number, labels: Labels): string {
  return seriesName(panel.queries?.[query]?.legend, labels).trim() || seriesName(undefined, labels) || t.charts.unnamed;
}

type Properties = Record<string, unknown>;
type Known = { color?: { fixedColor?: string }; mappings?: Mapping[]; thresholds?: { steps?: { color: string; value: number | null }[] } };
type Mapping = { type: string; options: Record<string, { text?: string; color?: string }> };

/** Finds the properties of a series by its name. Of several overrides that match, a later one wins. */
export function properties(panel: Panel): (name: string) => Properties {
  const list = (panel.overrides ?? []).map((o) => ({ pattern: compile(o.matching), properties: o.properties }));
  return (name) => Object.assign({}, ...list.filter((o) => o.pattern?.test(name)).map((o) => o.properties)) as Properties;
}

// Grafana's byRegexp anchors so, without a group: of "200|success" it matches what begins with 200 or ends with success.
function compile(matching: string): RegExp | undefined {
  try {
    return new RegExp(`^${matching}$`);
  } catch {
    return undefined;
  }
}

/** How a panel draws the series of a name. */
export function looks(panel: Panel): (name: string) => Look {
  const find = properties(panel);
  return (name) => {
    const p = find(name);
    const { color, mappings, thresholds } = p as Known;
    const style = p["custom.lineStyle"] as { fill?: string; dash?: number[] } | undefined;
    const stacking = p["custom.stacking"] as { mode?: string } | undefined;
    const softMax = p["custom.axisSoftMax"] as number | undefined;
    return {
      ...(color?.fixedColor !== undefined && { color: color.fixedColor }),
      fill: ((p["custom.fillOpacity"] as number | undefined) ?? (panel.stacked ? 40 : 8)) / 100,
      width: (p["custom.lineWidth"] as number | undefined) ?? 1,
      ...(style?.fill === "dash" && { dash: style.dash ?? [10, 10] }),
      stepped: p["custom.lineInterpolation"] === "stepAfter",
      stacked: stacking ? stacking.mode === "normal" : panel.stacked === true,
      ...(softMax !== undefined && { softMax }),
      values: mappings ? mappings.flatMap(valuesOf) : (panel.values ?? []),
      thresholds: thresholds?.steps?.map((s) => (s.value === null ? { color: s.color } : { color: s.color, from: s.value })) ?? panel.thresholds ?? [],
    };
  };
}

function valuesOf(mapping: Mapping): Value[] {
  if (mapping.type !== "value") return [];
  return Object.entries(mapping.options).map(([value, { text = value, color }]) => ({ value: Number(value), text, ...(color && { color }) }));
}
