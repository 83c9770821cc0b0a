// The field that takes a name, with what the inventory has.
import { useId, useMemo, useRef, useState } from "preact/hooks";
import { useInventory } from "../fleet/inventory";
import { go } from "../router";
import { d } from "../texts/doctor";
import { askAbout, askText, kindIn, nameIn, queryOf, suggest, type Asked, type Named } from "./subject";

export function Ask({ asked, busy, again }: { asked: Asked; busy: boolean; again: () => void }) {
  const { inventory } = useInventory();
  const all = useMemo((): Named[] => {
    if (!inventory) return [];
    const workers = new Map(inventory.workers.map((w) => [w.id, w.name]));
    const clusters = new Map(inventory.clusters.map((c) => [c.id, c.name]));
    const several = clusters.size > 1;
    const cluster = (id: number) => (several ? (clusters.get(id) ?? "") : "");
    return [
      ...inventory.instances.map((i): Named => ({ kind: "instance", name: i.name, id: i.id, where: workers.get(i.worker_id) ?? "" })),
      ...inventory.workers.map((w): Named => ({ kind: "worker", name: w.name, id: w.id, where: cluster(w.cluster_id) })),
      ...inventory.models.map((m): Named => ({ kind: "model", name: m.name, id: m.id, where: cluster(m.cluster_id) })),
    ];
  }, [inventory]);
  const now = nameIn(asked);
  const [text, setText] = useState(now);
  const shownFor = useRef(now);
  if (shownFor.current !== now) {
    shownFor.current = now;
    setText(now);
  }
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const offered = useMemo(() => suggest(all, text), [all, text]);
  const shown = open && offered.length > 0;

  const ask = (next: Asked) => {
    setOpen(false);
    setAt(-1);
    const query = queryOf(next);
    if (query === queryOf(asked)) again();
    else go("/doctor" + query);
  };
  const key = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (offered.length > 0) setAt(!shown && by > 0 ? 0 : (at + by + offered.length + (at < 0 && by < 0 ? 1 : 0)) % offered.length);
    } else if (event.key === "Escape" && shown) {
      event.preventDefault();
      setOpen(false);
      setAt(-1);
    } else if (event.key === "Enter" && shown && at >= 0) {
      event.preventDefault();
      ask(askAbout(offered[at]!, all));
    }
  };
  // The name that the address has keeps its kind, and the metric beside it.
  const submit = (event: Event) => {
    event.preventDefault();
    ask(text.trim() === now ? asked : askText(text));
  };
  const kind = text.trim() === now ? kindIn(asked) : undefined;
  return (
    <form class="dr-ask" role="search" onSubmit={submit}>
      <div class="dr-field" ref={box} onFocusOut={(e) => !box.current?.contains(e.relatedTarget as Node | null) && setOpen(false)}>
        <label for={`${id}-name`}>{d.name}</label>
        <span class="dr-input">
          {kind && <span class="dr-kind">{d.kinds[kind]}</span>}
          <input
            id={`${id}-name`}
            type="text"
            role="combobox"
            aria-expanded={shown}
            aria-controls={`${id}-list`}
            aria-autocomplete="list"
            aria-activedescendant={shown && at >= 0 ? `${id}-${at}` : undefined}
            autocomplete="off"
            spellcheck={false}
            maxLength={512}
            placeholder={d.placeholder}
            value={text}
            onInput={(e) => {
              setText(e.currentTarget.value);
              setOpen(true);
              setAt(-1);
            }}
            onClick={() => setOpen(true)}
            onKeyDown={key}
          />
        </span>
        <ul id={`${id}-list`} role="listbox" aria-label={d.suggestions} class="dr-list" hidden={!shown}>
          {shown &&
            offered.map((n, i) => (
              <li
                key={`${n.kind} ${n.id}`}
                id={`${id}-${i}`}
                role="option"
                aria-selected={i === at}
                onMouseDown={(e) => e.preventDefault()}
                onClick={() => ask(askAbout(n, all))}
              >
                <span class="dr-name">{n.name}</span>
                <span class="dr-kind">{d.kinds[n.kind]}</span>
                {n.where !== "" && <span class="f-dim">{n.where}</span>}
              </li>
            ))}
        </ul>
      </div>
      <button type="submit" class="dr-primary" disabled={busy}>
        {text.trim() === now ? d.again : d.check}
      </button>
      {now !== "" && (
        <button type="button" onClick={() => ask({})}>
          {d.wholeFleet}
        </button>
      )}
    </form>
  );
}
