// conflict.tsx: somebody was faster: mine and theirs, field by field.
import { useState } from "preact/hooks";
import { t } from "../i18n";
import type { Entity } from "../schema";
import { toast } from "../ui/toast";
import { valueText, type Row } from "../value";
import type { Draft } from "./draft";

export function Conflict({ entity, draft }: { entity: Entity; draft: Draft }) {
  const current = draft.problem?.body.current as Row | undefined;
  const [theirs, setTheirs] = useState<Record<string, boolean>>({});
  if (!current) return null;
  const fields = Object.keys(draft.changes);
  const merge = async (): Promise<void> => {
    for (const f of fields) if (theirs[f]) draft.set(f, current[f]);
    const saved = await draft.save(Number(current["version"]));
    if (saved) toast(t("saved"));
  };
  return (
    <div class="notice warn" role="alert">
      <h2>{t("conflict")}</h2>
      <p>{t("conflict_lead")}</p>
      <table class="table">
        <thead><tr><th scope="col" /><th scope="col">{t("mine")}</th><th scope="col">{t("theirs")}</th></tr></thead>
        <tbody>
          {fields.map((f) => {
            const field = entity.fields[f];
            if (!field) return null;
            return (
              <tr key={f}>
                <th scope="row">{field.label}</th>
                <td><label><input type="radio" name={`keep-${f}`} checked={!theirs[f]} onChange={() => setTheirs({ ...theirs, [f]: false })} /> {valueText(field, draft.changes[f], current) || "–"}</label></td>
                <td><label><input type="radio" name={`keep-${f}`} checked={!!theirs[f]} onChange={() => setTheirs({ ...theirs, [f]: true })} /> {valueText(field, current[f], current) || "–"}</label></td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <button class="button primary" type="button" disabled={draft.busy} onClick={() => void merge()}>{t("save")}</button>
    </div>
  );
}
