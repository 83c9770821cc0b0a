// The place of an editor. CodeMirror is a download of its own, which begins when this is drawn.
import { useEffect, useRef, useState } from "preact/hooks";
import { m } from "../../texts/mapping";
import type { Editor, Options } from "./editor";

interface Props {
  options: Omit<Options, "words" | "phrases">;
  className: string;
  /** The editor when it is there; undefined when it is gone. */
  ready(editor: Editor | undefined): void;
}

export function EditorPane({ options, className, ready }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const [state, set] = useState<"loading" | "ready" | "failed">("loading");
  useEffect(() => {
    let editor: Editor | undefined;
    let here = true;
    import("./editor").then(
      ({ mount }) => {
        if (!here || !host.current) return;
        editor = mount(host.current, { ...options, words: m.words, phrases: m.phrases });
        set("ready");
        ready(editor);
      },
      () => here && set("failed"),
    );
    return () => {
      here = false;
      ready(undefined);
      editor?.destroy();
    };
  }, []); // the text is the editor's own afterwards
  return (
    <div class={`m-editor ${className}`}>
      <div ref={host} class="m-host" />
      {state === "loading" && <p class="m-over f-dim">{m.editorLoading}</p>}
      {state === "failed" && (
        <div class="m-over" role="alert">
          <p>{m.editorFailed}</p>
          <button onClick={() => location.reload()}>{m.reload}</button>
        </div>
      )}
    </div>
  );
}
