// actions.tsx: what may be done with the record now; an action with fields asks for them first, one that is not possible says why.
import { useState } from "preact/hooks";
import { call, get, Problem } from "../api";
import { t } from "../i18n";
import type { Entity, Field } from "../schema";
import { readRecord } from "../pages/record";
import { Dialog } from "../ui/dialog";
import { FieldRow } from "../ui/field";
import { Icon } from "../ui/icon";
import { wire } from "../ui/input";
import { useLoaded } from "../ui/loaded";
import { Menu, MenuItem } from "../ui/menu";
import { toast } from "../ui/toast";
import type { Row } from "../value";

interface ActionField extends Partial<Field> {
  name: string;
  label: string;
  type: Field["type"];
  required: boolean;
}

interface Action {
  name: string;
  label: string;
  enabled: boolean;
  reason: string | null;
  fields: ActionField[];
}

function asField(f: ActionField): Field {
  return { help: "", unique: false, read: true, write: true, ...f };
}

function Ask({ entity, record, action, onClose, onDone }: { entity: Entity; record: Row; action: Action; onClose: () => void; onDone: (r: Row) => void }) {
  const [values, setValues] = useState<Record<string, unknown>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (): Promise<void> => {
    const body: Record<string, unknown> = {};
    for (const f of action.fields) if (f.name in values) body[f.name] = wire(asField(f), values[f.name]);
    const refused = await run(entity, record, action, body, onDone);
    if (refused) setProblem(refused);
    else onClose();
  };
  return (
    <Dialog title={action.label} onClose={onClose} foot={
      <>
        <button class="button" type="button" onClick={onClose}>{t("cancel")}</button>
        <button class="button primary" type="button" onClick={() => void submit()}>{action.label}</button>
      </>
    }>
      {problem && <p class="notice bad" role="alert">{problem.message}</p>}
      {action.fields.map((f) => (
        <FieldRow key={f.name} name={`action-${f.name}`} field={asField(f)} value={values[f.name] ?? null} error={problem?.forField(f.name)} onChange={(v) => setValues({ ...values, [f.name]: v })} />
      ))}
    </Dialog>
  );
}

async function run(entity: Entity, record: Row, action: Action, body: unknown, onDone: (r: Row) => void): Promise<Problem | null> {
  try {
    await call("POST", `${entity.collection}/${record.id}/actions/${action.name}`, { body });
    onDone(await readRecord(entity, record.id));
    toast(`${t("done")}: ${action.label}`);
    return null;
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

export function ActionBar({ entity, record, onDone }: { entity: Entity; record: Row; onDone: (r: Row) => void }) {
  const [asking, setAsking] = useState<Action | null>(null);
  const loaded = useLoaded(`${record.id}/${String(record["version"])}`, (signal) => get<Action[]>(`${entity.collection}/${record.id}/actions`, undefined, signal));
  const actions = (loaded.data ?? []).filter((a) => a.name !== "move");
  const start = async (a: Action): Promise<void> => {
    if (a.fields.length) setAsking(a);
    else {
      const refused = await run(entity, record, a, {}, onDone);
      if (refused) toast(refused.message);
    }
  };
  if (!actions.length) return null;
  const main = actions.filter((a) => a.enabled).slice(0, 2);
  return (
    <div class="button-row">
      {main.map((a) => <button key={a.name} class="button" type="button" onClick={() => void start(a)}>{a.label}</button>)}
      <Menu label={t("actions")} className="button icon" button={<Icon name="more" />}>
        {actions.map((a) => <MenuItem key={a.name} disabled={!a.enabled} title={a.reason ?? undefined} onClick={() => void start(a)}>{a.label}</MenuItem>)}
      </Menu>
      {asking && <Ask entity={entity} record={record} action={asking} onClose={() => setAsking(null)} onDone={onDone} />}
    </div>
  );
}
