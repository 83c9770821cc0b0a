// CodeMirror for mapping documents. The page loads this when it is opened: nothing else imports it.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, ensureSyntaxTree, foldGutter, foldKeymap, indentOnInput, syntaxTree } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorSelection, EditorState, type Extension } from "@codemirror/state";
import { crosshairCursor, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers, rectangularSelection } from "@codemirror/view";
import type { Insertion } from "../overlay";
import { about, complete, cursor as mark, type Option, type Sources, type Words } from "./complete";
import { placed, type Fault, type Placed } from "./faults";
import { look } from "./look";
import { outline, type Item } from "./outline";

export interface Options {
  text: string;
  /** The name that the editor has for those who hear it. */
  label: string;
  readOnly?: boolean;
  words: Words;
  phrases: Record<string, string>;
  sources(): Sources;
  /** After each change of the text, also by the page. */
  changed?(): void;
  /** Ctrl-S. */
  save?(): void;
}

export interface Editor {
  text(): string;
  /** The keys and values, if the text could be parsed within a moment. */
  outline(): Item | undefined;
  /** Replaces the text in a step that can be undone. */
  replace(text: string): void;
  /** Another text with a history of its own. */
  open(text: string): void;
  insert(insertion: Insertion): void;
  /** Marks faults; returns them with their places. */
  show(faults: readonly Fault[]): Placed[];
  goTo(from: number, to?: number): void;
  focus(): void;
  destroy(): void;
}

/** Milliseconds that parsing the rest of a text may take when its outline is asked for. */
const patience = 200;

function outlineOf(state: EditorState): Item | undefined {
  return outline(ensureSyntaxTree(state, state.doc.length, patience) ?? syntaxTree(state), state.doc.toString());
}

export function mount(host: HTMLElement, options: Options): Editor {
  // In a shadow root CodeMirror uses constructed style sheets: <style> elements are forbidden by the Content-Security-Policy.
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const content = new Compartment();
  const make = (text: string) => EditorState.create({ doc: text, extensions: [content.of(extensions(options))] });
  const view = new EditorView({ parent: root, root, state: make(options.text) });
  return {
    text: () => view.state.doc.toString(),
    outline: () => outlineOf(view.state),
    replace: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text }, selection: { anchor: 0 }, scrollIntoView: true, userEvent: "input" }),
    open(text) {
      view.setState(make(text));
      options.changed?.();
    },
    insert({ edits, names }) {
      view.dispatch({ changes: edits, userEvent: "input" });
      const ranges = names.map((n) => EditorSelection.range(n.from, n.to));
      view.dispatch({ selection: EditorSelection.create(ranges, 0), effects: EditorView.scrollIntoView(names[0]!.from, { y: "center" }) });
      view.focus();
    },
    show(faults) {
      const all = placed(faults, view.state.doc.toString(), outlineOf(view.state));
      const diagnostics = all.map((f) => ({ from: f.from, to: f.to, severity: "error" as const, message: f.pointer === "" ? f.detail : `${f.pointer}: ${f.detail}` }));
      view.dispatch(setDiagnostics(view.state, diagnostics));
      return all;
    },
    goTo(from, to = from) {
      const end = view.state.doc.length;
      view.dispatch({ selection: { anchor: Math.min(from, end), head: Math.min(to, end) }, effects: EditorView.scrollIntoView(Math.min(from, end), { y: "center" }) });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

function extensions(options: Options): Extension {
  const { words, readOnly = false } = options;
  const writing = [
    history(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(true),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    rectangularSelection(),
    crosshairCursor(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    lintGutter(),
    autocompletion({ override: [(context) => completions(context, options.sources(), words)], activateOnTyping: true, icons: false, maxRenderedOptions: 100 }),
    EditorView.updateListener.of((update) => update.docChanged && options.changed?.()),
    keymap.of([
      {
        key: "Mod-s",
        preventDefault: true,
        run: () => {
          options.save?.();
          return true;
        },
      },
      ...closeBracketsKeymap,
      ...historyKeymap,
      ...completionKeymap,
      ...lintKeymap,
      indentWithTab,
    ]),
  ];
  return [
    lineNumbers(),
    foldGutter(),
    yaml(),
    highlightSelectionMatches(),
    search({ top: true }),
    EditorState.tabSize.of(2),
    EditorState.phrases.of(options.phrases),
    readOnly ? [EditorState.readOnly.of(true), EditorView.lineWrapping] : writing,
    EditorView.domEventHandlers({ beforeinput: typeOver }),
    keymap.of([...searchKeymap, ...foldKeymap, ...defaultKeymap]),
    hoverTooltip((view, pos) => {
      const found = about(view.state.doc.toString(), pos, outlineOf(view.state), options.sources(), words);
      if (!found) return null;
      return { pos: found.from, end: found.to, above: true, create: () => ({ dom: tooltip(found.title, found.lines) }) };
    }),
    EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", tabindex: "0" }),
    look,
  ];
}

// Chromium keeps the colors of a selection that is typed over in a style attribute, which the Content-Security-Policy refuses with an
// error. Such text is therefore put in by the editor and not by the browser. What an input method composes cannot be taken over.
function typeOver(event: InputEvent, view: EditorView): boolean {
  const text = event.data;
  const { main } = view.state.selection;
  if (event.inputType !== "insertText" || !event.cancelable || !text || main.empty || view.composing) return false;
  event.preventDefault();
  if (view.state.readOnly) return true;
  const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
  // Brackets and quotes around a selection are an input handler's.
  if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, text, insert))) view.dispatch(insert());
  return true;
}

function tooltip(title: string, lines: readonly string[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "cm-about";
  box.append(Object.assign(document.createElement("strong"), { textContent: title }), ...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  return box;
}

function completions(context: CompletionContext, sources: Sources, words: Words): CompletionResult | null {
  const found = complete(context.state.doc.toString(), context.pos, outlineOf(context.state), sources, words);
  if (!found || (!context.explicit && found.from === context.pos && !/[:\-[{,]\s?$/.test(context.state.sliceDoc(Math.max(0, context.pos - 2), context.pos)))) return null;
  return { from: found.from, options: found.options.map(completion), validFor: /^["']?[\w:.*<>=!~^-]*$/ };
}

function completion(o: Option): Completion {
  const made: Completion = { label: o.label };
  if (o.detail !== undefined && o.detail !== "") made.detail = o.detail;
  if (o.info !== undefined && o.info !== "") made.info = o.info;
  if (o.boost !== undefined) made.boost = o.boost * 10;
  if (o.apply !== undefined) {
    const cursor = o.apply.indexOf(mark);
    const text = cursor < 0 ? o.apply : o.apply.slice(0, cursor) + o.apply.slice(cursor + 1);
    made.apply = (view, _, from, to) => {
      view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + (cursor < 0 ? text.length : cursor) }, userEvent: "input.complete" });
    };
  }
  return made;
}
