// finder.tsx: quick search, Ctrl+K or "/": pages and records, recent ones first; "?" shows the shortcuts.
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { t } from "./i18n";
import { navigate, place } from "./router";
import { schema } from "./schema";
import { may } from "./session";
import { Dialog } from "./ui/dialog";
import { Icon } from "./ui/icon";
import { referenceText, type Row } from "./value";

interface Hit {
  href: string;
  text: string;
  kind: string;
}

export const finderOpen = signal(false);
export const helpOpen = signal(false);

const SEARCHED = ["opportunity", "company", "contact", "partner", "lead", "task"];
const recent: Hit[] = [];

/** Called by pages that show one record. */
export function remember(hit: Hit): void {
  const at = recent.findIndex((h) => h.href === hit.href);
  if (at >= 0) recent.splice(at, 1);
  recent.unshift(hit);
  recent.length = Math.min(recent.length, 8);
}

function pages(typed: string): Hit[] {
  const all: Hit[] = [{ href: "/", text: t("home"), kind: t("pages") }, { href: "/settings", text: t("settings"), kind: t("pages") }];
  for (const [n, e] of Object.entries(schema.value?.entities ?? {})) {
    if (!may(n, "read")) continue;
    all.push({ href: `/${e.collection}`, text: e.plural, kind: t("pages") });
    if (may(n, "create")) all.push({ href: `/${e.collection}/new`, text: `${t("create")}: ${e.label}`, kind: t("create") });
  }
  const word = typed.toLocaleLowerCase();
  return all.filter((h) => h.text.toLocaleLowerCase().includes(word)).slice(0, 6);
}

async function records(typed: string, signal: AbortSignal): Promise<Hit[]> {
  const asked = SEARCHED.filter((n) => may(n, "read")).map(async (n) => {
    const e = schema.value?.entities[n];
    if (!e) return [];
    const answer = await get<{ items: Row[] }>(e.collection, { q: typed, limit: 5, fields: `id,${e.title}` }, signal);
    return answer.items.map((r) => ({ href: `/${e.collection}/${r.id}`, text: referenceText(r[e.title]), kind: e.label }));
  });
  return (await Promise.all(asked)).flat();
}

function Finder() {
  const [typed, setTyped] = useState("");
  const [found, setFound] = useState<Hit[]>([]);
  const [at, setAt] = useState(0);
  const stop = useRef<AbortController>();
  useEffect(() => {
    const timer = setTimeout(() => {
      stop.current?.abort();
      stop.current = new AbortController();
      setAt(0);
      if (typed.length < 2) setFound(typed ? pages(typed) : [...recent, ...pages("").slice(0, 6)]);
      else records(typed, stop.current.signal).then((r) => setFound([...r, ...pages(typed)]), () => undefined);
    }, 100);
    return () => clearTimeout(timer);
  }, [typed]);
  const go = (h: Hit | undefined): void => {
    if (!h) return;
    finderOpen.value = false;
    navigate(h.href);
  };
  const onKey = (e: KeyboardEvent): void => {
    if (e.key === "ArrowDown") setAt(Math.min(at + 1, found.length - 1));
    else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (e.key === "Enter") go(found[at]);
    else return;
    e.preventDefault();
  };
  return (
    <Dialog title={t("search")} onClose={() => { finderOpen.value = false; }}>
      <input class="input" role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant={found[at] ? `found-${at}` : undefined} aria-label={t("search_hint")} placeholder={t("search_hint")} autofocus value={typed} onInput={(e) => setTyped(e.currentTarget.value)} onKeyDown={onKey} />
      <div class="finder-list" role="listbox" id="found" aria-label={t("search")}>
        {found.map((h, i) => (
          <div key={h.href + h.kind} id={`found-${i}`} role="option" aria-selected={i === at} class="menu-item" onPointerDown={(e) => { e.preventDefault(); go(h); }}>
            <span>{h.text}</span><span class="muted">{h.kind}</span>
          </div>
        ))}
      </div>
    </Dialog>
  );
}

function Help() {
  const keys: [string, string][] = [["Ctrl K, /", t("shortcut_search")], ["Ctrl S", t("shortcut_save")], ["Ctrl Enter", t("shortcut_exit")], ["Esc", t("shortcut_back")], ["?", t("shortcut_help")]];
  return (
    <Dialog title={t("shortcuts")} onClose={() => { helpOpen.value = false; }}>
      <dl class="day-list">{keys.map(([k, what]) => <div key={k} class="card-head"><dt><kbd class="mono">{k}</kbd></dt><dd>{what}</dd></div>)}</dl>
    </Dialog>
  );
}

export function Finders() {
  useLayoutEffect(() => {
    const onKey = (e: KeyboardEvent): void => {
      const typing = e.target instanceof HTMLElement && e.target.closest("input, textarea, select, [contenteditable]");
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") finderOpen.value = true;
      else if (!typing && e.key === "/") finderOpen.value = true;
      else if (!typing && e.key === "?") helpOpen.value = true;
      else return;
      e.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => { finderOpen.value = false; }, [place.value]);
  return <>{finderOpen.value && <Finder />}{helpOpen.value && <Help />}</>;
}

export function FinderButton() {
  return (
    <button class="button search" type="button" aria-keyshortcuts="Control+K /" onClick={() => { finderOpen.value = true; }}>
      <Icon name="search" />{t("search_hint")}<kbd>Ctrl K</kbd>
    </button>
  );
}
