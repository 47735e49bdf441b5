// record.tsx: one record: its bars, its form, what may be done with it, and what happened to it.
import { useEffect, useState } from "preact/hooks";
import { get } from "../api";
import { remember } from "../finder";
import { t } from "../i18n";
import { guardLeaving } from "../router";
import { formSections, references, SYSTEM, type Entity } from "../schema";
import { may } from "../session";
import { FieldRow } from "../ui/field";
import { useLoaded } from "../ui/loaded";
import { Failed, Skeleton } from "../ui/states";
import { valueText, type Row } from "../value";
import { ActionBar } from "../record/actions";
import { StageBars } from "../record/bars";
import { Conflict } from "../record/conflict";
import { Draft, useDraft } from "../record/draft";
import { SaveBar } from "../record/save";
import { Timeline } from "../record/timeline";

interface Props {
  name: string;
  entity: Entity;
  id: string | null;
}

export function readRecord(entity: Entity, id: string, signal?: AbortSignal): Promise<Row> {
  return get<Row>(`${entity.collection}/${id}`, { expand: references(entity, Object.keys(entity.fields).filter((f) => entity.fields[f]?.read)).join(",") || undefined }, signal);
}

function Sections({ name, entity, draft }: { name: string; entity: Entity; draft: Draft }) {
  const isNew = draft.record === null;
  const writable = may(name, isNew ? "create" : "update");
  return (
    <>
      {formSections(entity, t("other")).map((section) => {
        const fields = section.fields.filter((f) => !isNew || entity.fields[f]?.write);
        if (!fields.length) return null;
        return (
          <section class="panel" key={section.label} aria-label={section.label}>
            <div class="panel-head"><h2>{section.label}</h2></div>
            <div class="panel-body form-grid">
              {fields.map((f) => {
                const field = entity.fields[f];
                if (!field) return null;
                const fixed = !writable || !field.write || field.type === "formula" || field.type === "computed" || SYSTEM.includes(f);
                if (fixed) return <ReadOnly key={f} label={field.label} text={valueText(field, draft.value(f), draft.record ?? { id: "" })} />;
                return <FieldRow key={f} name={f} field={field} value={draft.value(f)} error={draft.errorFor(f)} onChange={(v) => draft.set(f, v)} />;
              })}
            </div>
          </section>
        );
      })}
    </>
  );
}

function ReadOnly({ label, text }: { label: string; text: string }) {
  return (
    <div class="field">
      <span class="field-label">{label}</span>
      <span>{text || <span class="muted">–</span>}</span>
    </div>
  );
}

function Editor({ name, entity, record, reload }: { name: string; entity: Entity; record: Row | null; reload: (r: Row) => void }) {
  const draft = useDraft(entity, record, reload);
  const title = record ? valueText(entity.fields[entity.title] ?? { type: "text" } as never, record[entity.title], record) || record.id : `${t("create")}: ${entity.label}`;
  const [turn, setTurn] = useState(0);
  useEffect(() => setTurn((n) => n + 1), [record]);
  useEffect(() => { if (record) remember({ href: `/${entity.collection}/${record.id}`, text: title, kind: entity.label }); }, [record]);
  useEffect(() => guardLeaving(draft.dirty ? () => confirm(t("unsaved")) : null), [draft.dirty]);
  return (
    <>
      <div class="page-head">
        <div>
          <p class="muted"><a href={`/${entity.collection}`}>{entity.plural}</a>{record && typeof record["number"] === "string" ? ` · ${record["number"]}` : ""}</p>
          <h1>{title}</h1>
        </div>
        {record && <ActionBar entity={entity} record={record} onDone={reload} />}
      </div>
      {record && <StageBars entity={entity} record={record} onMoved={reload} />}
      <div class={record ? "record" : "record-main"}>
        <div class="record-main">
          {draft.problem && draft.problem.status !== 412 && <ProblemNotice draft={draft} />}
          {draft.problem?.status === 412 && <Conflict entity={entity} draft={draft} />}
          <Sections name={name} entity={entity} draft={draft} />
          <SaveBar entity={entity} draft={draft} isNew={!record} />
        </div>
        {record && <div class="record-side"><Timeline entity={entity} id={record.id} turn={turn} /></div>}
      </div>
    </>
  );
}

function ProblemNotice({ draft }: { draft: Draft }) {
  const problem = draft.problem;
  if (!problem) return null;
  return (
    <div class="notice bad" role="alert">
      <strong>{problem.message}</strong>
      {problem.errors.length > 0 && <ul>{problem.errors.map((e, i) => <li key={i}>{e.message}</li>)}</ul>}
    </div>
  );
}

export function RecordPage({ name, entity, id }: Props) {
  const loaded = useLoaded(`${entity.collection}/${id ?? "new"}`, (signal) => (id ? readRecord(entity, id, signal) : Promise.resolve(null)));
  if (loaded.error) return <Failed error={loaded.error} again={loaded.again} />;
  if (loaded.data === undefined) return <section class="panel"><Skeleton rows={8} /></section>;
  return <Editor name={name} entity={entity} record={loaded.data} reload={loaded.set} />;
}
