// The edited text: what it is based on, whether it is kept, and whether another generation became active meanwhile.
import { useEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import { activeGeneration, type Active } from "./active";
import { dropDraft, keepDraft, loadDraft } from "./draft";
import type { Editor } from "./editor/editor";

export interface Text {
  /** What the editor begins with. */
  first: string;
  /** The text now; some 100 ms behind while somebody types. */
  text: string;
  base: number;
  /** The generation that is known to be active. */
  active: number;
  unsaved: boolean;
  /** Whether unsaved text survives the page. */
  kept: boolean;
  /** Another generation that became active. */
  newer: number | undefined;
  opened(): void;
  changed(): void;
  flush(): void;
  discard(): void;
  applied(generation: number, document: string): void;
  /** Goes on from another generation with the same text. */
  rebase(generation: number): void;
}

const typing = 100; // milliseconds
/** How often the page asks whether another generation is active. */
const lookEvery = 30_000;

export function useText(active: Active, start: string, editor: RefObject<Editor | undefined>): Text {
  const [first] = useState(() => {
    const draft = loadDraft();
    return draft && draft.text !== start ? draft : { text: start, base: active.generation };
  });
  const [text, setText] = useState(first.text);
  const [base, setBase] = useState(first.base);
  const [original, setOriginal] = useState(start);
  const [kept, setKept] = useState(true);
  const [now, setNow] = useState(active.generation);
  const latest = useRef({ text, base, original });
  latest.current = { ...latest.current, base, original };
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const flush = () => {
    clearTimeout(timer.current);
    const value = editor.current?.text();
    if (value !== undefined) {
      latest.current.text = value;
      setText(value);
    }
    keep();
  };
  const keep = () => {
    const { text: value, base: from, original: of } = latest.current;
    if (value === of) {
      dropDraft();
      setKept(true);
    } else setKept(keepDraft({ text: value, base: from }));
  };
  const changed = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(flush, typing);
  };

  // What the editor begins with comes in steps: an example appears when an instance's page was read. Somebody else may activate a document, too.
  useEffect(() => {
    const untouched = (editor.current?.text() ?? latest.current.text) === latest.current.original;
    const was = latest.current.original;
    setOriginal(start);
    latest.current.original = start;
    if (!untouched) return;
    setBase(active.generation);
    latest.current.base = active.generation;
    if (start === was) return;
    editor.current?.open(start);
    latest.current.text = start;
    setText(start);
  }, [start, active]);

  const lost = text !== original && !kept;
  useEffect(() => {
    if (!lost) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [lost]);

  useEffect(() => {
    addEventListener("pagehide", flush);
    return () => {
      removeEventListener("pagehide", flush);
      flush();
    };
  }, []);

  useEffect(() => {
    const look = () => {
      if (document.visibilityState === "visible") void activeGeneration().then((n) => n !== undefined && setNow(n));
    };
    const every = setInterval(look, lookEvery);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(every);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  useEffect(() => setNow((n) => Math.max(n, active.generation)), [active]);

  return {
    first: first.text,
    text,
    base,
    active: now,
    unsaved: text !== original,
    kept,
    newer: now > base ? now : undefined,
    opened() {
      // The example may have come before the editor did.
      if (latest.current.text !== first.text) editor.current?.open(latest.current.text);
    },
    changed,
    flush,
    discard() {
      setBase(active.generation);
      latest.current.base = active.generation;
      editor.current?.replace(original);
      flush();
    },
    applied(generation, document) {
      setBase(generation);
      setNow(generation);
      setOriginal(document);
      latest.current.original = document;
      latest.current.base = generation;
      flush(); // what was typed meanwhile stays unsaved, and is kept
    },
    rebase(generation) {
      setBase(generation);
      latest.current.base = generation;
      setNow((n) => Math.max(n, generation));
      keep();
    },
  };
}
