// The editor with its faults, the built-in document beside it, the preview below, and the change.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useList } from "../api/lists";
import { instance as instanceCheck, items } from "../api/types";
import { setQuery, type Place } from "../router";
import { m } from "../texts/mapping";
import { loadBuiltInText, loadKnown, type Active, type Known } from "./active";
import { Change } from "./change";
import { unifiedOf, type Sources } from "./editor/complete";
import type { Editor } from "./editor/editor";
import type { Placed } from "./editor/faults";
import { FaultList } from "./editor/faultlist";
import { EditorPane } from "./editor/pane";
import { useInstancePage } from "./instancepage";
import { nativeMetrics } from "./native";
import { example, mapMetric, overlay } from "./overlay";
import { PreviewSection } from "./preview";
import { isMapped, linksOf } from "./previewlines";
import { useChecks } from "./checks";
import { useText } from "./textstate";

const instanceItems = items(instanceCheck);

/** A document to put into the editor; each is a new object. */
export interface Loaded {
  yaml: string;
}

interface Props {
  place: Place;
  active: Active;
  setActive(active: Active): void;
  /** Reads the active mapping again. */
  reload(): void;
  loaded: Loaded | undefined;
}

export function Workbench({ place, active, setActive, reload, loaded }: Props) {
  const instances = useList("/v2/model-instances", instanceItems);
  const wanted = Number(place.query.get("instance"));
  const list = useMemo(() => instances.items?.filter((i) => i.runtime !== "" || i.id === wanted), [instances.items, wanted]);
  const chosen = list?.find((i) => i.id === wanted) ?? list?.find((i) => i.state === "running") ?? list?.[0];
  const page = useInstancePage(chosen?.id);
  const [known, setKnown] = useState<Known>({});
  useEffect(() => void loadKnown().then(setKnown), []);

  const native = page.page && page.page.error === "" ? page.page : undefined;
  const metrics = useMemo(() => nativeMetrics(native?.native ?? ""), [native]);
  const start = useMemo(() => {
    if (!active.builtIn) return active.text;
    const unmapped = native?.metrics.filter((r) => !isMapped(r)).map((r) => r.name) ?? [];
    const metric = metrics.get(example(unmapped) ?? "");
    return overlay({ about: m.overlayAbout, exampleOf: m.exampleOf(chosen?.name ?? "") }, metric, native?.runtime);
  }, [active, native, metrics]);

  const editor = useRef<Editor>(undefined);
  const [there, setThere] = useState(false);
  const text = useText(active, start, editor);
  useEffect(() => {
    if (text.active > active.generation) reload();
  }, [text.active]);
  const [faults, setFaults] = useState<Placed[]>();
  const runtime = native?.runtime || chosen?.runtime || [...(known.builtin?.runtimes.keys() ?? [])][0] || "vLLM";
  const checks = useChecks(text.text, native, runtime, text.active);
  useEffect(() => {
    const answer = checks.answer;
    if (!answer || answer.kind === "failed") return;
    setFaults(editor.current?.show(answer.kind === "faults" ? answer.faults : []));
  }, [checks.answer, there]);

  const sources = useRef<Sources>({});
  sources.current = { ...known };
  const links = useMemo(() => linksOf(checks.preview?.native ?? native?.metrics ?? []), [checks.preview, native]);
  if (native) sources.current.instance = { runtime, version: native.runtime_version, metrics, reports: links.reports };

  const [said, say] = useState("");
  const [changing, setChanging] = useState(false);
  const openChange = () => {
    text.flush();
    say("");
    setChanging(true);
  };
  const save = useRef(openChange);
  save.current = openChange;
  const [builtIn, setBuiltIn] = useState<string>();
  const [builtInError, setBuiltInError] = useState<string>();

  const pending = useRef<string>(undefined); // a document that came before the editor
  useEffect(() => {
    if (!loaded) return;
    if (editor.current) editor.current.replace(loaded.yaml);
    else pending.current = loaded.yaml;
  }, [loaded]);

  const showBuiltIn = () => {
    if (builtIn !== undefined) return setBuiltIn(undefined);
    setBuiltInError(undefined);
    loadBuiltInText().then(setBuiltIn, (e: unknown) => setBuiltInError(e instanceof Error ? e.message : String(e)));
  };

  const map = (name: string) => {
    const at = editor.current;
    const metric = metrics.get(name);
    if (!at || !metric) return;
    const root = at.outline();
    const names = new Set([...(known.builtin?.unified.keys() ?? []), ...unifiedOf(root).keys()]);
    const insertion = mapMetric(at.text(), root, metric, runtime, names);
    if (!insertion) return say(m.cannotMap);
    at.insert(insertion);
    say(m.mapped(name));
  };

  const ready = useCallback((mounted: Editor | undefined) => {
    editor.current = mounted;
    setThere(mounted !== undefined);
    if (!mounted) return;
    text.opened();
    if (pending.current !== undefined) mounted.replace(pending.current);
    pending.current = undefined;
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.defaultPrevented) return;
    event.preventDefault();
    openChange();
  };

  return (
    <div onKeyDown={onKeyDown}>
      <div class="m-head">
        <span class={`f-state ${text.unsaved ? "tone-warn" : "tone-good"}`}>{text.unsaved ? (text.base === 0 ? m.unsavedBuiltIn : m.unsaved(text.base)) : active.builtIn ? m.activeBuiltIn : m.active(active.generation)}</span>
        {text.unsaved && <span class="f-dim">{text.kept ? m.kept : m.notKept}</span>}
        <span class="m-buttons">
          {text.unsaved && <button onClick={text.discard}>{m.discard}</button>}
          <button aria-expanded={builtIn !== undefined} onClick={showBuiltIn}>
            {builtIn === undefined ? m.builtIn : m.closeBuiltIn}
          </button>
          <button class="primary" title={m.changeKey} onClick={openChange}>
            {m.change}
          </button>
        </span>
      </div>
      {text.newer !== undefined && <p class="f-notice">{m.newer(text.newer, text.base)}</p>}
      {builtInError !== undefined && (
        <p class="f-notice bad" role="alert">
          {builtInError}
        </p>
      )}
      {changing && (
        <Change
          document={text.text}
          base={text.base}
          onApplied={(generation, document) => {
            text.applied(generation, document);
            setActive({ text: document, generation, builtIn: false });
          }}
          onBase={text.rebase}
          onClose={() => {
            setChanging(false);
            editor.current?.focus();
          }}
        />
      )}
      <div class={`m-edit ${builtIn === undefined ? "" : "two"}`}>
        <EditorPane
          className="own"
          options={{ text: text.first, label: m.editorName, sources: () => sources.current, changed: text.changed, save: () => save.current() }}
          ready={ready}
        />
        {builtIn !== undefined && (
          <div class="m-built-in">
            <p class="f-dim">{m.builtInAbout}</p>
            <EditorPane className="built-in" options={{ text: builtIn, label: m.builtInName, readOnly: true, sources: () => sources.current }} ready={() => undefined} />
          </div>
        )}
      </div>
      <p class="m-keys f-dim">{m.editorKeys}</p>
      <FaultList faults={faults} checking={checks.checking} goTo={(fault) => editor.current?.goTo(fault.from, fault.to)} />
      <PreviewSection
        instances={list}
        chosen={chosen}
        choose={(id) => setQuery((q) => q.set("instance", String(id)), true)}
        page={page}
        answer={checks.answer}
        preview={checks.preview}
        active={checks.active}
        map={map}
        said={said}
      />
    </div>
  );
}
