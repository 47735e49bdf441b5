// value.tsx: a value of a field as people read it. Text is always text: nothing from the data becomes markup.
import { entityNamed, type Field } from "./schema";
import { date, datetime, money, number, t } from "./i18n";

export interface Reference {
  id: string;
  name?: string | null;
  code?: string;
}

export type Row = Record<string, unknown> & { id: string };

export function isReference(v: unknown): v is Reference {
  return typeof v === "object" && v !== null && "id" in v;
}

export function referenceText(v: unknown): string {
  if (isReference(v)) return v.name ?? v.code ?? v.id;
  return v === null || v === undefined ? "" : String(v);
}

function safeUrl(text: string): string | undefined {
  return /^https?:\/\//i.test(text) ? text : undefined;
}

function currencyOf(field: Field, row: Row): string | undefined {
  return field.currency ? referenceTextCode(row[field.currency]) : undefined;
}

function referenceTextCode(v: unknown): string | undefined {
  if (isReference(v)) return v.code;
  return typeof v === "string" ? v : undefined;
}

/** Plain text, for titles, exports and screen readers. */
export function valueText(field: Field, v: unknown, row: Row): string {
  if (v === null || v === undefined || v === "") return "";
  switch (field.type === "formula" || field.type === "computed" ? field.result ?? "text" : field.type) {
    case "boolean": return v ? t("yes") : t("no");
    case "date": return date(String(v));
    case "datetime": return datetime(String(v));
    case "money": return money(Number(v), currencyOf(field, row));
    case "percent": return `${number(Number(v))} %`;
    case "integer":
    case "decimal": return number(Number(v));
    case "option": return field.options?.find((o) => o.value === v)?.label ?? String(v);
    case "options": return (v as string[]).map((x) => field.options?.find((o) => o.value === x)?.label ?? x).join(", ");
    case "refs": return (v as unknown[]).map(referenceText).join(", ");
    case "ref":
    case "stage": return referenceText(v);
    case "json": return JSON.stringify(v);
    default: return typeof v === "number" ? number(v) : String(v);
  }
}

const numeric = new Set(["money", "percent", "integer", "decimal"]);

export function isNumeric(field: Field): boolean {
  return numeric.has(field.type) || (field.type === "formula" && numeric.has(field.result ?? ""));
}

export function Value({ field, value, row }: { field: Field; value: unknown; row: Row }) {
  const text = valueText(field, value, row);
  if (!text) return <span class="muted" aria-label={t("empty")}>–</span>;
  if (field.type === "stage") return <span class="chip accent">{text}</span>;
  if (field.type === "option") return <span class="chip">{text}</span>;
  const target = field.type === "ref" ? entityNamed(field.to) : undefined;
  if (target && isReference(value) && !target.setting) return <a href={`/${target.collection}/${value.id}`}>{text}</a>;
  if (field.type === "email") return <a href={`mailto:${text}`}>{text}</a>;
  if (field.type === "phone") return <a href={`tel:${text}`}>{text}</a>;
  if (field.type === "url" && safeUrl(text)) return <a href={safeUrl(text)} rel="noopener noreferrer" target="_blank">{text}</a>;
  return <>{text}</>;
}
