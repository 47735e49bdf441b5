// shell.tsx: what stands around every page: side bar from the schema, search, the person's menu.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { FinderButton, Finders } from "./finder";
import { lang, t } from "./i18n";
import { place } from "./router";
import { schema } from "./schema";
import { changeLanguage, may, me, signOut } from "./session";
import { theme, type Theme } from "./theme";
import { Icon, type IconName } from "./ui/icon";
import { Menu, MenuItem } from "./ui/menu";

export function Logo() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="12" r="9.5" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="46 14" />
      <circle cx="12" cy="12" r="3.5" fill="currentColor" />
      <circle cx="19" cy="5.5" r="2" fill="currentColor" />
    </svg>
  );
}

/** What people work with, in the order of the work; the rest is found under its heading. */
const FIRST = ["opportunity", "lead", "registration", "company", "contact", "partner", "task", "activity"];
const HIDDEN = ["user", "group", "holiday", "line", "stage_change", "comment", "document", "folder", "follower", "notification", "view", "member", "price", "currency_rate"];

function NavLink({ href, icon, children }: { href: string; icon: IconName; children: ComponentChildren }) {
  const here = place.value.path === href || (href !== "/" && place.value.path.startsWith(`${href}/`));
  return <a href={href} aria-current={here ? "page" : undefined}><Icon name={icon} />{children}</a>;
}

function Entities({ names }: { names: string[] }) {
  return (
    <>
      {names.map((n) => {
        const e = schema.value?.entities[n];
        return e && may(n, "read") ? <NavLink key={n} href={`/${e.collection}`} icon="list">{e.plural}</NavLink> : null;
      })}
    </>
  );
}

function Sidebar({ open }: { open: boolean }) {
  const rest = Object.entries(schema.value?.entities ?? {}).filter(([n, e]) => !e.setting && !FIRST.includes(n) && !HIDDEN.includes(n)).map(([n]) => n);
  return (
    <aside class={open ? "sidebar open" : "sidebar"} id="sidebar">
      <a class="brand" href="/"><Logo />{t("app")}</a>
      <nav class="nav" aria-label={t("menu")}>
        <NavLink href="/" icon="home">{t("home")}</NavLink>
        <Entities names={FIRST} />
        <div class="nav-title">{t("other")}</div>
        <Entities names={rest} />
        <NavLink href="/settings" icon="settings">{t("settings")}</NavLink>
      </nav>
    </aside>
  );
}

function PersonMenu() {
  const who = me.value;
  if (!who) return null;
  const initials = who.name.split(/\s+/).map((w) => w[0] ?? "").slice(0, 2).join("").toUpperCase();
  const other = lang.value === "ru" ? "en" : "ru";
  const themes: [Theme, string][] = [["light", t("theme_light")], ["dark", t("theme_dark")], ["system", t("theme_system")]];
  return (
    <Menu label={`${initials} ${who.name}`} className="button quiet" button={<><span class="avatar" aria-hidden="true">{initials}</span><Icon name="down" /></>}>
      <div class="menu-label">{who.name} · {who.login}</div>
      <MenuItem onClick={() => void changeLanguage(other)}>{other === "ru" ? "Русский" : "English"}</MenuItem>
      <div class="menu-label">{t("theme")}</div>
      {themes.map(([value, label]) => (
        <MenuItem key={value} onClick={() => { theme.value = value; }}>{theme.value === value && <Icon name="check" />}{label}</MenuItem>
      ))}
      <MenuItem onClick={() => void signOut()}>{t("sign_out")}</MenuItem>
    </Menu>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [place.value]);
  return (
    <div class="shell">
      <a class="button skip" href="#content" onClick={(e) => { e.preventDefault(); document.getElementById("content")?.focus(); }}>{t("skip")}</a>
      <Sidebar open={open} />
      <div>
        <header class="topbar">
          <button class="button quiet icon only-small" type="button" aria-label={t("menu")} aria-expanded={open} aria-controls="sidebar" onClick={() => setOpen(!open)}><Icon name="menu" /></button>
          <FinderButton />
          <span class="spacer" />
          <PersonMenu />
        </header>
        <main class="page" id="content" tabIndex={-1}>{children}</main>
      </div>
      <Finders />
    </div>
  );
}
