// board.tsx: records in columns by stage (or another field of choices). A card is dragged, or moved by its menu with the keyboard;
// a refused move opens the gate's form; a move can be taken back.
import { useState } from "preact/hooks";
import { get, patch, Problem } from "../api";
import { plural, short, t } from "../i18n";
import { place, setQuery } from "../router";
import { references, schema, type Entity, type Field, type Stage } from "../schema";
import { Icon } from "../ui/icon";
import { useLoaded } from "../ui/loaded";
import { Menu, MenuItem } from "../ui/menu";
import { Failed, Skeleton } from "../ui/states";
import { toast } from "../ui/toast";
import { GateDialog } from "../record/gate";
import { valueText, type Row } from "../value";

interface Column {
  key: string | null;
  label: string;
  count: number;
  sum: Record<string, number>;
  items: Row[];
  next?: string;
}

interface Board {
  columns: Column[];
}

interface Refused {
  record: Row;
  stage: Stage;
  problem: Problem;
}

function stagesOf(field: Field | undefined): Stage[] {
  return schema.value?.pipelines[field?.pipeline ?? ""]?.stages ?? [];
}

function Card({ entity, row, columns, onMove }: { entity: Entity; row: Row; columns: Column[]; onMove: (to: Column) => void }) {
  const fields = (entity.views.board?.card ?? entity.views.card ?? []).filter((f) => f !== entity.title && entity.fields[f]?.read);
  const title = entity.fields[entity.title];
  const days = row["days_in_stage"];
  const stale = Number(row["stale_days"] ?? 0) > 14;
  return (
    <li class="card" draggable onDragStart={(e) => { e.dataTransfer?.setData("text/plain", row.id); e.currentTarget.classList.add("dragging"); }} onDragEnd={(e) => e.currentTarget.classList.remove("dragging")}>
      <div class="card-head">
        <a href={`/${entity.collection}/${row.id}`} draggable={false}>{title ? valueText(title, row[entity.title], row) : row.id}</a>
        <Menu label={t("move_to")} className="button quiet icon" button={<Icon name="more" />}>
          <div class="menu-label">{t("move_to")}</div>
          {columns.map((c) => <MenuItem key={c.key ?? ""} onClick={() => onMove(c)}>{c.label}</MenuItem>)}
        </Menu>
      </div>
      {fields.map((f) => {
        const field = entity.fields[f];
        const text = field ? valueText(field, row[f], row) : "";
        return text ? <span key={f} class="muted">{text}</span> : null;
      })}
      {typeof days === "number" && <span class={stale ? "chip warn" : "chip"}><Icon name="clock" />{plural("days", days)}{stale ? ` · ${t("stale")}` : ""}</span>}
    </li>
  );
}

export function BoardPage({ entity }: { entity: Entity }) {
  const groupBy = place.value.query.get("group_by") ?? entity.views.board?.group_by ?? "stage";
  const field = entity.fields[groupBy];
  const sum = entity.views.board?.sum;
  const filter = place.value.query.get("filter") ?? undefined;
  const card = [...(entity.views.board?.card ?? []), entity.title, ...["days_in_stage", "stale_days"].filter((f) => entity.fields[f]), ...(sum ? [entity.fields[sum]?.currency ?? ""] : [])].filter(Boolean);
  const request = { group_by: groupBy, filter, sum, limit: 20, fields: [...new Set(["id", "version", groupBy, ...card])].join(","), expand: references(entity, card).join(",") || undefined };
  const board = useLoaded(JSON.stringify([entity.collection, request]), (signal) => get<Board>(`${entity.collection}/board`, request, signal));
  const [refused, setRefused] = useState<Refused | null>(null);
  const [over, setOver] = useState<string | null>(null);
  const columns = board.data?.columns ?? [];

  const move = async (id: string, to: Column): Promise<void> => {
    const from = columns.find((c) => c.items.some((r) => r.id === id));
    const row = from?.items.find((r) => r.id === id);
    if (!row || !from || from.key === to.key) return;
    try {
      await patch(`${entity.collection}/${id}`, { [groupBy]: to.key });
      toast(`${t("done")}: ${to.label}`, { label: t("undo"), run: () => void patch(`${entity.collection}/${id}`, { [groupBy]: from.key }).then(board.again, (e: unknown) => { if (e instanceof Problem) toast(e.message); }) });
      board.again();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const stage = stagesOf(field).find((s) => s.code === to.key);
      if (error.status === 422 && stage && error.errors.length) setRefused({ record: await get<Row>(`${entity.collection}/${id}`), stage, problem: error });
      else toast(error.message);
    }
  };
  const more = async (column: Column): Promise<void> => {
    if (!column.next || !board.data) return;
    const answer = await get<Board>(`${entity.collection}/board`, { ...request, column: column.key ?? "", cursor: column.next });
    const next = answer.columns[0];
    if (next) board.set({ columns: columns.map((c) => (c === column ? { ...c, items: [...c.items, ...next.items], next: next.next } : c)) });
  };
  if (board.error) return <Failed error={board.error} again={board.again} />;
  return (
    <>
      <div class="page-head">
        <h1>{entity.plural}</h1>
        <div class="button-row">
          <form class="toolbar" onSubmit={(e) => { e.preventDefault(); setQuery({ filter: String(new FormData(e.currentTarget).get("filter") ?? "") }); }}>
            <input class="input mono" name="filter" aria-label={t("filter")} placeholder={t("filter")} defaultValue={filter} />
          </form>
          <a class="button" href={`/${entity.collection}`}><Icon name="list" />{t("list")}</a>
        </div>
      </div>
      {!board.data ? <section class="panel"><Skeleton /></section> : (
        <div class="board" tabIndex={0} role="region" aria-label={t("board")}>
          {columns.map((c) => (
            <section key={c.key ?? ""} class={over === c.key ? "board-column over" : "board-column"} aria-label={c.label}
              onDragOver={(e) => { e.preventDefault(); setOver(c.key); }} onDragLeave={() => setOver(null)}
              onDrop={(e) => { e.preventDefault(); setOver(null); void move(e.dataTransfer?.getData("text/plain") ?? "", c); }}>
              <div class="board-head"><h2>{c.label}</h2><span class="muted">{c.count}{sum && c.sum[sum] ? ` · ${short(c.sum[sum] ?? 0)}` : ""}</span></div>
              <ul class="board-column-items">{c.items.map((r) => <Card key={r.id} entity={entity} row={r} columns={columns.filter((x) => x !== c)} onMove={(to) => void move(r.id, to)} />)}</ul>
              {c.next && <button class="button quiet" type="button" onClick={() => void more(c)}>{t("load_more")}</button>}
            </section>
          ))}
        </div>
      )}
      {refused && <GateDialog entity={entity} record={refused.record} stage={refused.stage} problem={refused.problem} onClose={() => setRefused(null)} onMoved={() => { setRefused(null); board.again(); }} />}
    </>
  );
}
