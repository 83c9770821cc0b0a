// A button that opens a box below itself; Escape and a click elsewhere close it.
import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface Props {
  /** What the button shows. */
  button: ComponentChildren;
  /** The button's name, if what it shows is none. */
  name?: string;
  className?: string;
  /** Closes on a choice. */
  children: (close: () => void) => ComponentChildren;
  end?: boolean;
}

export function Popover({ button, name, className = "", children, end }: Props) {
  const [open, set] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    set(false);
    trigger.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const box = root.current?.querySelector<HTMLElement>(".box");
    if (box) focusFirst(box);
    const outside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) set(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [open]);
  return (
    <div
      ref={root}
      class={`popover ${className}`}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      <button ref={trigger} type="button" aria-expanded={open} aria-controls={open ? id : undefined} aria-label={name} title={name} onClick={() => set(!open)}>
        {button}
      </button>
      {open && (
        <div id={id} class={end ? "box end" : "box"}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

function focusFirst(box: HTMLElement): void {
  (box.querySelector<HTMLElement>("[autofocus], [aria-selected=true], [aria-current=true]") ?? box.querySelector<HTMLElement>("a, button, input, select, [tabindex]"))?.focus();
}

/** The content of a box that is loaded when the box opens; it gets the focus. */
export function Later<P extends object>({ load, props }: { load(): Promise<ComponentType<P>>; props: P }) {
  const [content, set] = useState<{ Content?: ComponentType<P>; failure?: string }>({});
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let here = true;
    load().then(
      (Content) => here && set({ Content }),
      (thrown: unknown) => here && set({ failure: thrown instanceof Error ? thrown.message : String(thrown) }),
    );
    return () => {
      here = false;
    };
  }, [load]);
  useEffect(() => {
    if (content.Content && box.current) focusFirst(box.current);
  }, [content]);
  return (
    <div ref={box}>
      {content.Content && <content.Content {...props} />}
      {content.failure}
    </div>
  );
}

/** Moves the focus among the elements of a list by the arrow keys, Home and End. */
export function arrows(event: KeyboardEvent, selector: string): void {
  const list = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(selector)];
  const at = list.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? list.length - 1 : at - 1, Home: 0, End: list.length - 1 }[event.key];
  if (to === undefined || list.length === 0) return;
  event.preventDefault();
  list[(to + list.length) % list.length]!.focus();
}
