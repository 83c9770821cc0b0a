import "./header.css";
import { useEffect, useState } from "preact/hooks";
import { unreachableSince } from "../api/connection";
import { request } from "../api/request";
import { getSettings, useSettings } from "../api/settings";
import { declined, forgetToken, hasToken } from "../api/token";
import { useValue } from "../api/value";
import { getChoice, setTheme, useTheme, type Choice } from "../look/theme";
import type { Place } from "../router";
import { t } from "../texts";
import { getLanguage, languages, setLanguage, type Language } from "../texts/language";
import { Time } from "./time";

const pages: { href: string; name: () => string; here: RegExp }[] = [
  { href: "/", name: () => t.fleet.fleet, here: /^\/(d\/stackscope-fleet.*)?$/ },
  { href: "/models", name: () => t.fleet.models, here: /^\/models(\/|$)/ },
  { href: "/instances", name: () => t.fleet.instances, here: /^\/instances(\/|$)/ },
  { href: "/workers", name: () => t.fleet.workers, here: /^\/workers(\/|$)/ },
  { href: "/gpus", name: () => t.fleet.gpus, here: /^\/gpus$/ },
  { href: "/dashboards", name: () => t.fleet.dashboards, here: /^\/(dashboards$|d\/(?!stackscope-fleet))/ },
  { href: "/doctor", name: () => t.fleet.doctor, here: /^\/doctor$/ },
  { href: "/mapping", name: () => t.fleet.mapping, here: /^\/mapping$/ },
];

export function Header({ place }: { place: Place }) {
  const [open, setOpen] = useState(false);
  const settings = useSettings();
  useEffect(() => setOpen(false), [place.path]);
  useEffect(() => {
    if (!open) return;
    const close = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      document.getElementById("menu-button")?.focus();
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [open]);
  const grafana = settings?.grafana;
  return (
    <>
      <a class="skip" href="#content" onClick={toContent}>
        {t.fleet.skip}
      </a>
      <header class="top">
        <a class="mark" href="/" aria-label={t.fleet.home}>
          <Mark />
          stackscope
        </a>
        <button id="menu-button" class="menu" aria-expanded={open} aria-controls="pages" onClick={() => setOpen(!open)}>
          {t.fleet.menu}
        </button>
        <nav id="pages" class={open ? "open" : ""} aria-label={t.fleet.pages}>
          {pages.map((p) => (
            <a key={p.href} href={p.href} aria-current={p.here.test(place.path) ? "page" : undefined}>
              {p.name()}
            </a>
          ))}
          {settings && isAddress(settings.prometheus.ui) && <a href={settings.prometheus.ui}>Prometheus</a>}
          {grafana && (grafana.phase === "running" || grafana.phase === "external") && isAddress(grafana.url) && <a href={grafana.url}>Grafana</a>}
        </nav>
        <span class="states">
          <Connection />
          <Token />
          <ThemeButton />
        </span>
      </header>
    </>
  );
}

/** Whether a link may lead there: this server, http or https. */
function isAddress(url: string): boolean {
  return /^(\/(?!\/)|https?:\/\/)/.test(url);
}

function toContent(event: MouseEvent) {
  event.preventDefault();
  const main = document.querySelector("main");
  if (!main) return;
  main.tabIndex = -1;
  main.focus();
}

function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
      <rect x="2" y="14" width="4" height="8" rx="1" fill="var(--light-blue)" />
      <rect x="8" y="9" width="4" height="13" rx="1" fill="var(--accent)" />
      <rect x="14" y="12" width="4" height="10" rx="1" fill="var(--light-blue)" />
      <rect x="20" y="4" width="2" height="18" rx="1" fill="var(--accent)" />
    </svg>
  );
}

function Connection() {
  const since = useValue(unreachableSince);
  useEffect(() => {
    if (since === undefined) return;
    const timer = setInterval(() => void fetchAgain(), 5000);
    return () => clearInterval(timer);
  }, [since]);
  return (
    <span role="status" class="connection">
      {since !== undefined && (
        <>
          {t.fleet.noAnswerSince} <Time at={since} bare />
        </>
      )}
    </span>
  );
}

/** Any answer of the server ends the state: request() notices it. */
async function fetchAgain(): Promise<void> {
  await request("/version").catch(() => undefined);
  void getSettings();
}

function Token() {
  const has = useValue(hasToken);
  const none = useValue(declined);
  if (has) {
    return (
      <button title={t.fleet.forgetWhy} onClick={() => (forgetToken(), location.reload())}>
        {t.fleet.forget}
      </button>
    );
  }
  if (none) return <button onClick={() => (declined.set(false), location.reload())}>{t.fleet.enterToken}</button>;
  return null;
}

const after: Record<Choice, Choice> = { system: "light", light: "dark", dark: "system" };

function ThemeButton() {
  useTheme();
  const [choice, set] = useState(getChoice);
  const change = () => {
    const next = after[choice];
    setTheme(next);
    set(next);
  };
  return (
    <button class="theme" aria-label={t.fleet.theme(t.fleet.themes[choice])} title={t.fleet.theme(t.fleet.themes[choice])} onClick={change}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.5" />
        <path d={choice === "light" ? "" : choice === "dark" ? "M8 2a6 6 0 1 1 0 12a6 6 0 1 1 0-12" : "M8 2a6 6 0 0 1 0 12z"} fill="currentColor" />
      </svg>
    </button>
  );
}

/** Version and links that every page ends with. */
export function Footer() {
  const settings = useSettings();
  return (
    <footer class="bottom">
      <span>stackscope {settings?.version}</span>
      <a href="/openapi.json">{t.fleet.openapi}</a>
      <a href="/readyz">{t.fleet.readiness}</a>
      <a href="/d/stackscope-self">{t.fleet.ownMetrics}</a>
      <LanguageChoice />
    </footer>
  );
}

function LanguageChoice() {
  return (
    <select aria-label={t.fleet.language} value={getLanguage()} onChange={(event) => setLanguage(event.currentTarget.value as Language)}>
      {Object.entries(languages).map(([name, own]) => (
        <option key={name} value={name} lang={name === "zh" ? "zh-CN" : name} selected={name === getLanguage()}>
          {own}
        </option>
      ))}
    </select>
  );
}
