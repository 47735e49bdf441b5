// input.tsx: the control for a field, chosen by its type. Values are as the API writes them; an empty control is null.
import { t } from "../i18n";
import { schema, type Field } from "../schema";
import { isReference, referenceText, type Reference } from "../value";
import { Combo } from "./combo";

interface Props {
  id: string;
  field: Field;
  value: unknown;
  onChange: (value: unknown) => void;
  invalid?: boolean;
  disabled?: boolean;
  describedBy?: string;
}

function reference(v: unknown): Reference | null {
  if (isReference(v)) return v;
  return v ? { id: String(v), name: String(v) } : null;
}

function localTime(iso: string): string {
  const d = new Date(iso);
  return new Date(d.getTime() - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function Several({ id, field, value, onChange, disabled }: Props) {
  const chosen = Array.isArray(value) ? (value as unknown[]) : [];
  return (
    <div class="several">
      <div class="button-row">
        {chosen.map((v, i) => (
          <span class="chip" key={i}>
            {referenceText(v)}
            <button class="chip-remove" type="button" aria-label={`${t("delete")}: ${referenceText(v)}`} disabled={disabled} onClick={() => onChange(chosen.filter((_, k) => k !== i))}>×</button>
          </span>
        ))}
      </div>
      {!disabled && <Combo id={id} entity={field.to ?? ""} value={null} onChange={(r) => { if (r) onChange([...chosen, r]); }} />}
    </div>
  );
}

function Choice({ id, field, value, onChange, invalid, disabled, describedBy }: Props) {
  const options = field.type === "stage"
    ? (schema.value?.pipelines[field.pipeline ?? ""]?.stages ?? []).map((s) => ({ value: s.code, label: s.label }))
    : field.options ?? [];
  const now = isReference(value) ? value.code ?? value.id : (value as string | null) ?? "";
  return (
    <select class="input" id={id} value={now} aria-invalid={invalid} aria-describedby={describedBy} disabled={disabled} onChange={(e) => onChange(e.currentTarget.value || null)}>
      <option value="">{t("choose")}</option>
      {options.map((o) => <option key={o.value} value={o.value}>{o.label}</option>)}
    </select>
  );
}

const kinds: Record<string, string> = { email: "email", phone: "tel", url: "url", date: "date", datetime: "datetime-local" };

export function Input(props: Props) {
  const { id, field, value, onChange, invalid, disabled, describedBy } = props;
  const common = { id, class: "input", "aria-invalid": invalid, "aria-describedby": describedBy, disabled, "aria-required": field.required };
  const text = value === null || value === undefined ? "" : String(value);
  switch (field.type) {
    case "boolean":
      return <input type="checkbox" id={id} class="check" checked={value === true} disabled={disabled} aria-describedby={describedBy} onChange={(e) => onChange(e.currentTarget.checked)} />;
    case "option":
    case "stage":
      return <Choice {...props} />;
    case "ref":
      return <Combo id={id} entity={field.to ?? ""} value={reference(value)} onChange={onChange} invalid={invalid} disabled={disabled} describedBy={describedBy} />;
    case "refs":
      return <Several {...props} />;
    case "longtext":
      return <textarea {...common} value={text} onInput={(e) => onChange(e.currentTarget.value || null)} />;
    case "integer":
    case "decimal":
    case "money":
    case "percent":
      return <input {...common} inputMode="decimal" value={text} onInput={(e) => onChange(readNumber(e.currentTarget.value))} />;
    case "datetime":
      return <input {...common} type="datetime-local" value={text ? localTime(text) : ""} onInput={(e) => onChange(e.currentTarget.value ? new Date(e.currentTarget.value).toISOString() : null)} />;
    case "json":
      return <textarea {...common} class="input mono" value={typeof value === "string" ? value : value ? JSON.stringify(value, null, 2) : ""} onInput={(e) => onChange(readJson(e.currentTarget.value))} />;
    default:
      return <input {...common} type={kinds[field.type] ?? "text"} value={text} onInput={(e) => onChange(e.currentTarget.value || null)} />;
  }
}

/** "1 250,50" → 1250.5; what is no number goes to the server as it is, and its answer names the field. */
function readNumber(typed: string): unknown {
  const plain = typed.replace(/[\s\u00a0\u202f]/g, "").replace(",", ".");
  if (!plain) return null;
  return /^-?\d+(\.\d+)?$/.test(plain) ? Number(plain) : typed;
}

function readJson(typed: string): unknown {
  if (!typed.trim()) return null;
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    return typed;
  }
}

/** What the API takes: the code or id of a reference. */
export function wire(field: Field, value: unknown): unknown {
  if (field.type === "refs" && Array.isArray(value)) return value.map((v: unknown) => (isReference(v) ? v.code ?? v.id : v));
  if (isReference(value)) return value.code ?? value.id;
  return value;
}
