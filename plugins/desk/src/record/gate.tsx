// gate.tsx: the gate's form: every thing that a move misses, with a control for those that are fields of the record.
import { useState } from "preact/hooks";
import { Problem } from "../api";
import { t } from "../i18n";
import type { Entity, Stage } from "../schema";
import { Dialog } from "../ui/dialog";
import { FieldRow } from "../ui/field";
import { wire } from "../ui/input";
import type { Row } from "../value";
import { moveTo } from "./move";

interface Props {
  entity: Entity;
  record: Row;
  stage: Stage;
  problem: Problem;
  onClose: () => void;
  onMoved: (r: Row) => void;
}

function fieldName(pointer: string | undefined): string {
  return pointer?.replace(/^\//, "") ?? "";
}

export function GateDialog({ entity, record, stage, problem, onClose, onMoved }: Props) {
  const start = problem.errors.some((e) => fieldName(e.pointer) === "probability") ? { probability: stage.probability } : {};
  const [values, setValues] = useState<Record<string, unknown>>(start);
  const [now, setNow] = useState(problem);
  const fields = now.errors.map((e) => fieldName(e.pointer)).filter((f, i, all) => entity.fields[f]?.write && entity.fields[f]?.type !== "stage" && all.indexOf(f) === i);
  const others = now.errors.filter((e) => !fields.includes(fieldName(e.pointer)));
  const submit = async (): Promise<void> => {
    const body: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) {
      const field = entity.fields[name];
      if (field) body[name] = wire(field, value);
    }
    const refused = await moveTo(entity, record, stage, onMoved, body);
    if (refused) setNow(refused);
  };
  return (
    <Dialog title={`${stage.label}: ${t("missing")}`} onClose={onClose} foot={
      <>
        <button class="button" type="button" onClick={onClose}>{t("cancel")}</button>
        <button class="button primary" type="button" onClick={() => void submit()}>{t("apply")}</button>
      </>
    }>
      <p>{now.message}</p>
      {others.length > 0 && <div class="notice warn"><ul>{others.map((e, i) => <li key={i}>{e.message}</li>)}</ul></div>}
      {fields.map((f) => {
        const field = entity.fields[f];
        return field ? <FieldRow key={f} name={`gate-${f}`} field={field} value={f in values ? values[f] : record[f]} error={now.forField(f)} onChange={(v) => setValues({ ...values, [f]: v })} /> : null;
      })}
    </Dialog>
  );
}
