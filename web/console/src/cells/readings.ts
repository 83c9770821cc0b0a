// The single values of a stat or a bar gauge: one for each series.
import { mapped, parts, seriesName, thresholdColor, type Meaning, type Parts } from "../format";
import type { Panel, Threshold } from "../model/dashboard";
import type { Labels, PanelData, Series } from "../model/panel";
import { meaningsOf, thresholdsOf } from "./columns";
import { numberCell, textCell } from "../format/csv";
import { newest } from "./merge";

export interface Reading {
  name: string;
  value: number;
  shown: Parts;
  /** By Grafana's name. */
  color: string;
  labels: Labels;
  series: Series;
  thresholds: readonly Threshold[] | undefined;
}

/** Grafana's colour without thresholds. */
const otherwise = "blue";

/** A series that ended so many seconds before the range did has no present value. Prometheus looks back as far. */
const lookBack = 300;

/** The newest value of each series; a series without one is absent. */
export function readings(panel: Panel, data: PanelData): Reading[] {
  const list: Reading[] = [];
  data.answers.forEach((answer, i) => {
    for (const series of answer) {
      const value = newest(series);
      const ended = data.range.to - (series.times.at(-1) ?? 0);
      if (value === undefined || (!panel.queries?.[i]?.instant && ended > Math.max(lookBack, 2.5 * data.step))) continue;
      const name = seriesName(panel.queries?.[i]?.legend, series.labels) || panel.title;
      let thresholds = panel.thresholds;
      let meanings: readonly Meaning[] | undefined = panel.values;
      for (const { matching, properties } of panel.overrides ?? []) {
        if (!new RegExp(matching).test(name)) continue;
        if (properties["thresholds"]) thresholds = thresholdsOf(properties["thresholds"]);
        if (properties["mappings"]) meanings = meaningsOf(properties["mappings"]);
      }
      const meaning = mapped(meanings, value);
      list.push({
        name,
        value,
        shown: meaning ? { text: meaning.text, suffix: "" } : parts(value, panel.unit, panel.decimals),
        color: meaning?.color ?? thresholdColor(thresholds, value) ?? otherwise,
        labels: series.labels,
        series,
        thresholds,
      });
    }
  });
  return list;
}

/** As rows of CSV cells: name, value. */
export function csvOfReadings(panel: Panel, data: PanelData, header: [string, string]): string[][] {
  return [header, ...readings(panel, data).map((r) => [textCell(r.name), numberCell(r.value, panel.unit)])];
}
