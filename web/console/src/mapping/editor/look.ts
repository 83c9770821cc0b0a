// The editor's look, from the console's tokens: custom properties reach into the shadow root.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const box = { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "var(--radius)", boxShadow: "var(--shadow)" };
const selected = { backgroundColor: "var(--accent-faint)", color: "var(--text)" };

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)" },
  "&.cm-focused": { outline: "none" }, // .m-editor shows the focus
  ".cm-scroller": { font: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--text)", padding: "6px 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--dim)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--accent-faint)" },
  ".cm-foldPlaceholder": { backgroundColor: "transparent", border: "1px solid var(--line)", color: "var(--dim)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--dim)" },
  ".cm-nonmatchingBracket, &.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--red)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--yellow) 30%, transparent)" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in srgb, var(--orange) 45%, transparent)" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--green) 22%, transparent)" },
  ".cm-tooltip": box,
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { font: "var(--mono)", maxHeight: "15em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": selected,
  ".cm-completionIcon": { display: "none" },
  ".cm-completionDetail": { color: "var(--dim)", fontStyle: "normal" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700", color: "var(--accent)" },
  ".cm-tooltip.cm-completionInfo": { padding: "6px 10px", maxWidth: "340px", font: "var(--font)", fontSize: "13px" },
  ".cm-tooltip-hover": { maxWidth: "440px", font: "var(--font)", fontSize: "13px" },
  ".cm-about": { padding: "6px 10px", overflowWrap: "anywhere" },
  ".cm-about p": { margin: "2px 0 0" },
  ".cm-panels": { backgroundColor: "var(--page)", color: "var(--text)", font: "var(--font)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panel.cm-search": { padding: "6px 30px 6px 8px" },
  ".cm-panel.cm-search label": { fontSize: "13px", whiteSpace: "nowrap" },
  ".cm-panel.cm-search [name=close]": { color: "var(--text)", cursor: "pointer", fontSize: "18px", width: "24px", height: "24px" },
  ".cm-textfield": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "var(--radius)", font: "inherit", fontSize: "13px" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "var(--radius)", font: "inherit", fontSize: "13px", cursor: "pointer" },
  ".cm-button:focus-visible, .cm-textfield:focus-visible, input:focus-visible, [name=close]:focus-visible": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  ".cm-diagnostic": { padding: "4px 10px", font: "var(--font)", fontSize: "13px", overflowWrap: "anywhere" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--red)" },
  // The package's own mark is a data: image in one red.
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--red)", textDecorationSkipInk: "none", textUnderlineOffset: "3px" },
  ".cm-lintPoint-error:after": { borderBottomColor: "var(--red)" },
  ".cm-lint-marker-error": { content: '""', width: "10px", height: "10px", borderRadius: "2px", backgroundColor: "var(--red)", margin: "4px auto 0" },
  ".cm-gutter-lint": { width: "16px" },
});

const colors = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--green)" },
  { tag: [tags.lineComment, tags.comment], color: "var(--dim)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.labelName, tags.typeName, tags.meta], color: "var(--purple)" },
  { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--dim)" },
]);

export const look = [theme, syntaxHighlighting(colors)];
