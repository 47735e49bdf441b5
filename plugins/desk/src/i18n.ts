// i18n.ts: texts by key in two languages; numbers, money, dates and plurals as each language writes them.
import { signal } from "@preact/signals";
import { texts, type Key } from "./texts";

export type Lang = "en" | "ru";

export const lang = signal<Lang>(navigator.language.startsWith("ru") ? "ru" : "en");

export function setLang(to: Lang): void {
  lang.value = to;
  document.documentElement.lang = to;
}

/** The text of a key; {name} is replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return texts[lang.value][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** "1 record", "5 записей": forms are one|other in English, one|few|many in Russian. */
export function plural(key: Key, n: number): string {
  const forms = texts[lang.value][key].split("|");
  const rule = new Intl.PluralRules(lang.value).select(n);
  const index = lang.value === "ru" ? { one: 0, few: 1, many: 2, other: 2, two: 1, zero: 2 }[rule] : rule === "one" ? 0 : 1;
  return (forms[index] ?? forms[forms.length - 1] ?? "").replace("{n}", number(n));
}

export function number(n: number, digits?: number): string {
  return new Intl.NumberFormat(lang.value, digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(n);
}

export function money(n: number, currency?: string): string {
  if (!currency || !/^[A-Z]{3}$/.test(currency)) return number(n, n % 1 ? 2 : 0);
  return new Intl.NumberFormat(lang.value, { style: "currency", currency, minimumFractionDigits: n % 1 ? 2 : 0, maximumFractionDigits: 2 }).format(n);
}

/** 12.4M, 12,4 млн */
export function short(n: number): string {
  return new Intl.NumberFormat(lang.value, { notation: "compact", maximumFractionDigits: 1 }).format(n);
}

export function date(iso: string): string {
  return new Intl.DateTimeFormat(lang.value, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(new Date(`${iso}T00:00:00Z`));
}

export function datetime(iso: string): string {
  return new Intl.DateTimeFormat(lang.value, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
}

/** "3 days ago", "через 2 часа" */
export function relative(iso: string, now = Date.now()): string {
  const seconds = (new Date(iso).getTime() - now) / 1000;
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const format = new Intl.RelativeTimeFormat(lang.value, { numeric: "auto" });
  for (const [unit, size] of steps) if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  return format.format(0, "second");
}

export function compare(a: string, b: string): number {
  return new Intl.Collator(lang.value).compare(a, b);
}
