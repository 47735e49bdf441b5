// today.tsx: my day: tasks that are due, deals that stand still, what the system has to say to me.
import { get, patch } from "../api";
import { datetime, t } from "../i18n";
import { entityNamed, schema } from "../schema";
import { may, me } from "../session";
import { Icon, type IconName } from "../ui/icon";
import { useLoaded } from "../ui/loaded";
import { Empty, Failed, Skeleton } from "../ui/states";
import { referenceText, type Row } from "../value";

interface Page {
  items: Row[];
}

function Tile({ title, icon, entity, query, line, more }: { title: string; icon: IconName; entity: string; query: Record<string, string | number>; line: (r: Row) => preact.VNode; more: string }) {
  const e = entityNamed(entity);
  const page = useLoaded(`${entity}/${JSON.stringify(query)}`, (signal) => get<Page>(e?.collection ?? "", query, signal));
  return (
    <section class="panel" aria-label={title}>
      <div class="panel-head"><h2><Icon name={icon} /> {title}</h2><a href={more}>{t("more")}</a></div>
      {page.error ? <Failed error={page.error} again={page.again} /> : !page.data ? <Skeleton rows={4} /> : page.data.items.length === 0
        ? <Empty title={t("all_done")} lead={t("all_done_lead")} />
        : <ul class="day-list">{page.data.items.map((r) => <li key={r.id}>{line(r)}</li>)}</ul>}
    </section>
  );
}

function late(r: Row): boolean {
  return typeof r["due"] === "string" && new Date(r["due"]).getTime() < Date.now();
}

/** Records that belong to another: the link leads there. */
function target(r: Row): string {
  return `/tasks/${r.id}`;
}

export function TodayPage() {
  const who = me.value;
  if (!who || !schema.value) return null;
  const read = (row: Row): void => { void patch(`notifications/${row.id}`, { read: true }); };
  return (
    <>
      <div class="page-head"><h1>{t("hello", { name: who.name.split(" ")[0] ?? "" })}</h1></div>
      <div class="tiles">
        {may("task", "read") && (
          <Tile title={t("due")} icon="clock" entity="task" more="/tasks?filter=assignee%20%3D%20%40me" query={{ filter: "assignee = @me and status in (\"open\", \"in_progress\")", sort: "due", limit: 12, fields: "id,title,due,number" }}
            line={(r) => <><a href={target(r)}>{referenceText(r["title"])}</a><span class={late(r) ? "chip bad" : "chip"}>{typeof r["due"] === "string" ? datetime(r["due"]) : ""}{late(r) ? ` · ${t("overdue")}` : ""}</span></>} />
        )}
        {may("opportunity", "read") && schema.value.entities["opportunity"]?.fields["stale_days"] && (
          <Tile title={t("going_stale")} icon="list" entity="opportunity" more="/opportunities?filter=responsible%20%3D%20%40me" query={{ filter: "responsible = @me and status in (\"open\", \"in_progress\") and stale_days >= 7", sort: "-stale_days", limit: 12, fields: "id,name,stage,stale_days", expand: "stage" }}
            line={(r) => <><a href={`/opportunities/${r.id}`}>{referenceText(r["name"])}</a><span class="chip">{referenceText(r["stage"])}</span></>} />
        )}
        {may("notification", "read") && (
          <Tile title={t("notifications")} icon="bell" entity="notification" more="/notifications" query={{ filter: "user = @me and read = false", sort: "-created_at", limit: 12, fields: "id,text,created_at" }}
            line={(r) => <><span>{referenceText(r["text"])}</span><button class="button quiet icon" type="button" aria-label={t("done")} onClick={(e) => { read(r); e.currentTarget.closest("li")?.remove(); }}><Icon name="check" /></button></>} />
        )}
      </div>
    </>
  );
}
