// The dialog that asks for the admin token. It is loaded when the server first refuses a request.
import "./tokendialog.css";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../texts";
import type { Verdict } from "./token";

/** Shows the dialog until a token is accepted or the viewer closes it. */
export function askInDialog(accepts: (token: string) => Promise<Verdict>): Promise<string | undefined> {
  const place = document.createElement("div");
  document.body.append(place);
  const before = document.activeElement as HTMLElement | null;
  return new Promise((resolve) => {
    const end = (token: string | undefined) => {
      render(null, place);
      place.remove();
      before?.focus?.();
      resolve(token);
    };
    render(<TokenDialog accepts={accepts} end={end} />, place);
  });
}

function TokenDialog({ accepts, end }: { accepts: (token: string) => Promise<Verdict>; end: (token: string | undefined) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    dialog.current?.showModal();
    input.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const token = input.current?.value.trim() ?? "";
    if (token === "") {
      setWrong(t.fleet.emptyToken);
      input.current?.focus();
      return;
    }
    // A header takes visible ASCII alone; fetch would throw.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      setWrong(t.fleet.wrongToken);
      input.current?.focus();
      return;
    }
    setBusy(true);
    const verdict = await accepts(token);
    setBusy(false);
    if (verdict === undefined) return end(token);
    setWrong(verdict);
    input.current?.focus();
    input.current?.select();
  };
  return (
    <dialog
      ref={dialog}
      class="token-dialog"
      aria-labelledby="token-title"
      aria-describedby="token-why"
      onCancel={(event) => {
        event.preventDefault();
        end(undefined);
      }}
    >
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="token-title">{t.fleet.tokenTitle}</h2>
        <p id="token-why">{t.fleet.tokenWhy}</p>
        <p class="dim">{t.fleet.tokenWhere}</p>
        <label for="token-input">{t.fleet.tokenLabel}</label>
        <input ref={input} id="token-input" type="password" autocomplete="off" spellcheck={false} aria-invalid={wrong !== undefined} aria-describedby={wrong !== undefined ? "token-wrong" : undefined} />
        <p id="token-wrong" class="wrong" role="alert">
          {wrong}
        </p>
        <div class="buttons">
          <button type="button" onClick={() => end(undefined)}>
            {t.fleet.cancel}
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {t.fleet.useToken}
          </button>
        </div>
      </form>
    </dialog>
  );
}
