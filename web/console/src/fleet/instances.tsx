import { useMemo } from "preact/hooks";
import type { PageProps } from "../app";
import { t } from "../texts";
import { l } from "../texts/lists";
import { instances as expressions } from "./expressions";
import { InstancePage } from "./instance";
import { instanceColumns } from "./instancecolumns";
import { useInventory } from "./inventory";
import { List } from "./list";
import { sparkPoints, useMetrics } from "./metrics";
import { Command, Empty, useHasMetrics } from "./parts";
import { instanceRows } from "./rows";

export default function Page({ place }: PageProps) {
  const id = /^\/instances\/(\d+)$/.exec(place.path)?.[1];
  return id === undefined ? <Instances place={place} /> : <InstancePage key={id} id={Number(id)} place={place} />;
}

const asked30 = [expressions.running(), expressions.waiting(), expressions.cache()];

function Instances({ place }: PageProps) {
  const { inventory, lists } = useInventory();
  const rows = useMemo(() => inventory && instanceRows(inventory), [inventory]);
  const metrics = useHasMetrics();
  const asked = useMetrics(metrics && rows && rows.length > 0 ? asked30 : [], 1800, sparkPoints(rows?.length ?? 0));
  const columns = useMemo(() => instanceColumns(asked), [asked]);
  return (
    <List
      place={place}
      title={l.instancesTitle}
      rows={rows}
      columns={columns}
      filters={["cluster", "worker", "model"]}
      lists={lists}
      metricsError={asked.error}
      empty={
        <Empty title={l.noInstances}>
          <p>{l.noInstancesHow}</p>
          <Command text={l.noInstancesCommand} />
          <p class="f-dim">{l.noInstancesWhy}</p>
          <p>
            <a href="/workers">{l.toWorkers}</a> · <a href="/doctor">{t.shell.findOut}</a>
          </p>
        </Empty>
      }
    />
  );
}
