// timeline.tsx: what happened, newest first, and what people say about it.
import { useState } from "preact/hooks";
import { get, post, Problem } from "../api";
import { relative, datetime, t } from "../i18n";
import { entityNamed, type Entity } from "../schema";
import { useLoaded } from "../ui/loaded";
import { Failed, Skeleton } from "../ui/states";
import { toast } from "../ui/toast";
import { valueText, type Row } from "../value";

interface Change {
  field: string;
  label: string;
  old: unknown;
  new: unknown;
}

interface Item {
  position: number;
  type: string;
  action: string;
  at: string;
  by: { id: string | null; name: string | null } | null;
  entity: string;
  record: string;
  changes: Change[];
}

interface Page {
  items: Item[];
  next?: string;
}

function text(item: Item, c: Change, v: unknown): string {
  const field = entityNamed(item.entity)?.fields[c.field];
  return field ? valueText(field, v, { id: item.record } as Row) : v === null || v === undefined ? "" : String(v);
}

function Entry({ item }: { item: Item }) {
  const who = item.by?.name ?? t("system");
  const said = item.type === "comment" ? item.changes.find((c) => c.field === "text") : undefined;
  const kind = entityNamed(item.entity)?.label ?? item.entity;
  return (
    <li class="timeline-item">
      <span class="avatar" aria-hidden="true">{who.slice(0, 1)}</span>
      <div>
        <p><strong>{who}</strong> <span class="muted">{kind} · <time dateTime={item.at} title={datetime(item.at)}>{relative(item.at)}</time></span></p>
        {said ? <p>{text(item, said, said.new)}</p> : item.action === "create" && item.type !== "change"
          ? <p class="change">{text(item, item.changes.find((c) => c.field === "title" || c.field === "name") ?? { field: "", label: "", old: null, new: "" }, (item.changes.find((c) => c.field === "title" || c.field === "name"))?.new)}</p>
          : (
            <ul class="change">
              {item.changes.slice(0, 8).map((c) => (
                <li key={c.field}>{c.label}: {item.action !== "create" && <><del>{text(item, c, c.old) || "–"}</del> → </>}<ins>{text(item, c, c.new) || "–"}</ins></li>
              ))}
            </ul>
          )}
      </div>
    </li>
  );
}

function CommentForm({ entity, id, onSent }: { entity: Entity; id: string; onSent: () => void }) {
  const [words, setWords] = useState("");
  const send = async (e: Event): Promise<void> => {
    e.preventDefault();
    if (!words.trim()) return;
    try {
      await post(`${entity.collection}/${id}/comments`, { text: words });
      setWords("");
      onSent();
    } catch (error) {
      if (error instanceof Problem) toast(error.message);
    }
  };
  return (
    <form class="field" onSubmit={(e) => void send(e)}>
      <label class="hidden" for="comment">{t("comment")}</label>
      <textarea class="input" id="comment" placeholder={t("comment_hint")} value={words} onInput={(e) => setWords(e.currentTarget.value)} />
      <div class="button-row"><button class="button" type="submit" disabled={!words.trim()}>{t("send")}</button></div>
    </form>
  );
}

export function Timeline({ entity, id, turn }: { entity: Entity; id: string; turn: number }) {
  const page = useLoaded(`${id}/${turn}`, (signal) => get<Page>(`${entity.collection}/${id}/timeline`, { limit: 30 }, signal));
  const more = async (): Promise<void> => {
    const now = page.data;
    if (!now?.next) return;
    const next = await get<Page>(`${entity.collection}/${id}/timeline`, { limit: 30, cursor: now.next });
    page.set({ items: [...now.items, ...next.items], next: next.next });
  };
  return (
    <section class="panel" aria-label={t("timeline")}>
      <div class="panel-head"><h2>{t("timeline")}</h2></div>
      <div class="panel-body timeline">
        <CommentForm entity={entity} id={id} onSent={page.again} />
        {page.error ? <Failed error={page.error} again={page.again} /> : !page.data ? <Skeleton rows={4} /> : (
          <ol class="timeline">{page.data.items.map((i) => <Entry key={i.position} item={i} />)}</ol>
        )}
        {page.data?.next && <button class="button" type="button" onClick={() => void more()}>{t("load_more")}</button>}
      </div>
    </section>
  );
}
