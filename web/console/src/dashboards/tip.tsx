// A button that shows a text while the pointer is on it, while it has the focus, and after a tap.
import { useId, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";

export function Tip({ label, name, children, className = "" }: { label: ComponentChildren; name?: string; children: ComponentChildren; className?: string }) {
  const [shown, set] = useState<"" | "over" | "kept">("");
  const id = useId();
  return (
    <span
      class={`tip ${className}`}
      onPointerEnter={(event) => event.pointerType === "mouse" && shown === "" && set("over")}
      onFocusOut={(event) => !event.currentTarget.contains(event.relatedTarget as Node | null) && set("")}
      onPointerLeave={(event) => event.pointerType === "mouse" && shown === "over" && set("")}
    >
      <button
        type="button"
        aria-label={name}
        aria-describedby={shown ? id : undefined}
        aria-expanded={shown !== ""}
        onFocus={(event) => (event.currentTarget as HTMLElement).matches(":focus-visible") && set("kept")}
        onClick={() => set(shown === "kept" ? "" : "kept")}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !shown) return;
          event.stopPropagation();
          set("");
        }}
      >
        {label}
      </button>
      {shown && (
        <span role="tooltip" id={id}>
          {children}
        </span>
      )}
    </span>
  );
}
