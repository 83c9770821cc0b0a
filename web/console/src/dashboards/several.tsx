// The box in which several values of a variable are chosen. Loaded when somebody opens it.
import { useState } from "preact/hooks";
import { t } from "../texts";
import { arrows } from "./popover";
import { all, type Chosen } from "./variables";

const text = t.shell;

/** Several values: a list of check boxes with All first, and a filter where it is long. */
export function Several({ chosen, set }: { chosen: Chosen; set(values: string[]): void }) {
  const { variable, values, missing } = chosen;
  const [filter, setFilter] = useState("");
  const everything = values[0] === all;
  const options = [...missing, ...(chosen.options ?? values.filter((v) => v !== all))];
  const shown = options.filter((o) => o.toLowerCase().includes(filter.toLowerCase()));
  const toggle = (option: string) => {
    if (option === all) return set([all]);
    const without = values.filter((v) => v !== all && v !== option);
    const next = !everything && values.includes(option) ? without : [...without, option];
    set(next.length === 0 && variable.all ? [all] : next);
  };
  const item = (o: string, label: string) => {
    const selected = o === all ? everything : !everything && values.includes(o);
    return (
      <div
        key={o}
        role="option"
        tabIndex={-1}
        aria-selected={selected}
        onClick={() => toggle(o)}
        onKeyDown={(event) => {
          if (event.key !== " " && event.key !== "Enter") return;
          event.preventDefault();
          toggle(o);
        }}
      >
        <span class="check" aria-hidden="true" />
        {label}
      </div>
    );
  };
  return (
    <div onKeyDown={(event) => arrows(event, "input, [role=option]")}>
      {options.length > 10 && (
        <input type="search" placeholder={text.filter} aria-label={text.filter} value={filter} onInput={(event) => setFilter(event.currentTarget.value)} autofocus />
      )}
      <div role="listbox" aria-multiselectable="true" aria-label={variable.label} tabIndex={0} class="options">
        {variable.all && item(all, text.all)}
        {shown.map((o) => item(o, missing.includes(o) ? text.goneOption(o) : o))}
        {options.length === 0 && <p class="dim">{text.noOptions}</p>}
      </div>
    </div>
  );
}
