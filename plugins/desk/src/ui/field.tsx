// field.tsx: label, control, help and error of one field, tied together for screen readers.
import type { Field } from "../schema";
import { t } from "../i18n";
import { Input } from "./input";

interface Props {
  name: string;
  field: Field;
  value: unknown;
  onChange: (value: unknown) => void;
  error?: string;
  disabled?: boolean;
}

export function FieldRow({ name, field, value, onChange, error, disabled }: Props) {
  const id = `f-${name}`;
  const help = field.help ? `${id}-help` : undefined;
  const wrong = error ? `${id}-error` : undefined;
  const described = [help, wrong].filter(Boolean).join(" ") || undefined;
  const whole = field.type === "longtext" || field.type === "json";
  return (
    <div class={whole ? "field whole" : "field"} data-field={name}>
      <label class="field-label" for={id}>
        {field.label}
        {field.required && <span class="star" title={t("required")} aria-hidden="true"> *</span>}
      </label>
      <Input id={id} field={field} value={value} onChange={onChange} invalid={!!error} disabled={disabled} describedBy={described} />
      {field.help && <span class="field-help" id={help}>{field.help}</span>}
      {error && <span class="field-error" id={wrong}>{error}</span>}
    </div>
  );
}
