// combo.tsx: choosing a record by typing: the pattern of the ARIA "combobox with listbox".
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { get } from "../api";
import { t } from "../i18n";
import { entityNamed } from "../schema";
import { referenceText, type Reference, type Row } from "../value";

interface Props {
  id: string;
  entity: string;
  value: Reference | null;
  onChange: (value: Reference | null) => void;
  invalid?: boolean;
  disabled?: boolean;
  describedBy?: string;
}

async function candidates(entity: string, typed: string, signal: AbortSignal): Promise<Reference[]> {
  const e = entityNamed(entity);
  if (!e) return [];
  const fields = ["id", e.title, ...(e.fields["code"] ? ["code"] : [])].join(",");
  const answer = await get<{ items: Row[] }>(e.collection, { q: typed.length > 1 ? typed : undefined, fields, limit: 20, sort: e.title }, signal);
  return answer.items.map((r) => ({ id: r.id, name: referenceText(r[e.title]), code: r["code"] as string | undefined }));
}

export function Combo({ id, entity, value, onChange, invalid, disabled, describedBy }: Props) {
  const [typed, setTyped] = useState<string | null>(null);
  const [found, setFound] = useState<Reference[]>([]);
  const [at, setAt] = useState(0);
  const list = useId();
  const stop = useRef<AbortController>();
  const open = typed !== null;

  useEffect(() => {
    if (typed === null) return;
    const timer = setTimeout(() => {
      stop.current?.abort();
      stop.current = new AbortController();
      candidates(entity, typed, stop.current.signal).then((r) => { setFound(r); setAt(0); }, () => undefined);
    }, typed ? 120 : 0);
    return () => clearTimeout(timer);
  }, [typed, entity]);

  const choose = (r: Reference | null): void => {
    onChange(r);
    setTyped(null);
  };
  const onKey = (e: KeyboardEvent): void => {
    if (e.key === "ArrowDown") { if (open) setAt(Math.min(at + 1, found.length - 1)); else setTyped(""); }
    else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (e.key === "Enter" && open && found[at]) choose(found[at]);
    else if (e.key === "Escape" && open) { e.stopPropagation(); setTyped(null); }
    else return;
    e.preventDefault();
  };
  return (
    <div class="combo">
      <input class="input" id={id} role="combobox" aria-expanded={open} aria-controls={list} aria-autocomplete="list" autocomplete="off"
        aria-activedescendant={open && found[at] ? `${list}-${at}` : undefined} aria-invalid={invalid} aria-describedby={describedBy} disabled={disabled}
        placeholder={t("choose")} value={typed ?? (value ? referenceText(value) : "")}
        onInput={(e) => { setTyped(e.currentTarget.value); if (!e.currentTarget.value) onChange(null); }}
        onFocus={(e) => e.currentTarget.select()} onClick={() => { if (!open) setTyped(""); }} onBlur={() => setTimeout(() => setTyped(null), 150)} onKeyDown={onKey} />
      {open && (
        <div class="menu" role="listbox" id={list}>
          {found.map((r, i) => (
            <div key={r.id} id={`${list}-${i}`} role="option" aria-selected={i === at} class="menu-item" onPointerDown={(e) => { e.preventDefault(); choose(r); }}>
              {referenceText(r)}
            </div>
          ))}
          {!found.length && <div class="menu-label">{t("none_found")}</div>}
        </div>
      )}
    </div>
  );
}
