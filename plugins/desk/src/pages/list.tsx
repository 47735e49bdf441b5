// list.tsx: the records of a collection: filter, search, sort, pages by cursor. The address holds all of it.
import { useEffect, useState } from "preact/hooks";
import { address, get, Problem } from "../api";
import { plural, t } from "../i18n";
import { place, setQuery } from "../router";
import { listColumns, references, type Entity } from "../schema";
import { may } from "../session";
import { Icon } from "../ui/icon";
import { useLoaded } from "../ui/loaded";
import { Empty, Failed, Skeleton } from "../ui/states";
import { isNumeric, Value, valueText, type Row } from "../value";

interface Page {
  items: Row[];
  next?: string;
  total?: number;
}

function Head({ entity, columns, sort }: { entity: Entity; columns: string[]; sort: string }) {
  const [by, down] = sort.startsWith("-") ? [sort.slice(1), true] : [sort, false];
  return (
    <tr>
      {columns.map((c) => {
        const field = entity.fields[c];
        const now = by === c;
        return (
          <th key={c} scope="col" class={field && isNumeric(field) ? "number" : undefined} aria-sort={now ? (down ? "descending" : "ascending") : undefined}>
            <button type="button" onClick={() => setQuery({ sort: now && !down ? `-${c}` : c })}>
              {field?.label}
              {now && <Icon name={down ? "down" : "up"} />}
            </button>
          </th>
        );
      })}
    </tr>
  );
}

function Body({ entity, columns, rows }: { entity: Entity; columns: string[]; rows: Row[] }) {
  return (
    <tbody>
      {rows.map((row) => (
        <tr class="row" key={row.id}>
          {columns.map((c, i) => {
            const field = entity.fields[c];
            if (!field) return null;
            const text = valueText(field, row[c], row);
            const link = c === entity.title || (i === 0 && !columns.includes(entity.title));
            return (
              <td key={c} class={isNumeric(field) ? "number" : undefined} title={text}>
                {link ? <a class="title-link" href={`/${entity.collection}/${row.id}`}>{text || row.id}</a> : <Value field={field} value={row[c]} row={row} />}
              </td>
            );
          })}
        </tr>
      ))}
    </tbody>
  );
}

function Toolbar({ entity, error }: { entity: Entity; error: string }) {
  const query = place.value.query;
  const [q, setQ] = useState(query.get("q") ?? "");
  const [filter, setFilter] = useState(query.get("filter") ?? "");
  useEffect(() => setFilter(query.get("filter") ?? ""), [query]);
  useEffect(() => {
    const timer = setTimeout(() => { if (q !== (place.value.query.get("q") ?? "")) setQuery({ q }); }, 200);
    return () => clearTimeout(timer);
  }, [q]);
  const all = { filter: query.get("filter") ?? undefined, q: query.get("q") ?? undefined, sort: query.get("sort") ?? undefined };
  return (
    <div class="toolbar" role="search">
      <input class="input grow" type="search" aria-label={`${t("search")}: ${entity.plural}`} placeholder={t("search")} value={q} onInput={(e) => setQ(e.currentTarget.value)} />
      <form class="toolbar grow" onSubmit={(e) => { e.preventDefault(); setQuery({ filter }); }}>
        <input class="input grow mono" aria-label={t("filter")} placeholder={t("filter_hint")} value={filter} aria-invalid={!!error} aria-describedby={error ? "filter-error" : undefined} onInput={(e) => setFilter(e.currentTarget.value)} />
        <button class="button" type="submit"><Icon name="filter" />{t("apply")}</button>
        {filter && <button class="button quiet" type="button" onClick={() => setQuery({ filter: undefined })}>{t("clear")}</button>}
      </form>
      <a class="button" href={address(entity.collection, all)} download={`${entity.collection}.csv`} onClick={(e) => { e.preventDefault(); void exportCsv(entity, all); }}><Icon name="download" />{t("export")}</a>
      {error && <p class="field-error" id="filter-error" role="alert">{error}</p>}
    </div>
  );
}

async function exportCsv(entity: Entity, query: Record<string, string | undefined>): Promise<void> {
  const response = await fetch(address(entity.collection, query), { headers: { Accept: "text/csv" } });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${entity.collection}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

export function ListPage({ name, entity }: { name: string; entity: Entity }) {
  const query = place.value.query;
  const columns = listColumns(entity);
  const sort = query.get("sort") ?? "-created_at";
  const request = {
    filter: query.get("filter") ?? undefined, q: query.get("q") ?? undefined, sort, limit: 50, count: "exact",
    fields: ["id", ...columns, ...columns.map((c) => entity.fields[c]?.currency ?? "")].filter((f, i, all) => f && all.indexOf(f) === i).join(","),
    expand: references(entity, columns).join(",") || undefined,
  };
  const key = JSON.stringify([entity.collection, request]);
  const page = useLoaded(key, (signal) => get<Page>(entity.collection, request, signal));
  const [busy, setBusy] = useState(false);
  const badFilter = page.error instanceof Problem && page.error.code === "bad_filter" ? page.error.message : "";
  const more = async (): Promise<void> => {
    const now = page.data;
    if (!now?.next) return;
    setBusy(true);
    try {
      const next = await get<Page>(entity.collection, { ...request, count: undefined, cursor: now.next });
      page.set({ items: [...now.items, ...next.items], next: next.next, total: now.total });
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <div class="page-head">
        <h1>{entity.plural}</h1>
        <div class="button-row">
        {entity.views.board && <a class="button" href={`/${entity.collection}/board`}><Icon name="board" />{t("board")}</a>}
        {may(name, "create") && <a class="button primary" href={`/${entity.collection}/new`}><Icon name="plus" />{t("create")}</a>}
        </div>
      </div>
      <Toolbar entity={entity} error={badFilter} />
      <section class="panel" aria-busy={page.loading}>
        {page.error && !badFilter ? <Failed error={page.error} again={page.again} /> : !page.data && page.loading ? <Skeleton rows={10} /> : null}
        {page.data && page.data.items.length === 0 && <Empty title={request.filter || request.q ? t("none_found") : t("none")} lead={request.filter || request.q ? t("none_found_lead") : t("none_lead")} />}
        {page.data && page.data.items.length > 0 && (
          <>
            <div class="table-wrap" tabIndex={0} role="region" aria-label={entity.plural}>
              <table class="table">
                <thead><Head entity={entity} columns={columns} sort={sort} /></thead>
                <Body entity={entity} columns={columns} rows={page.data.items} />
              </table>
            </div>
            <div class="list-foot">
              <span>{page.data.total === undefined ? "" : plural("total", page.data.total)}</span>
              {page.data.next && <button class="button" type="button" disabled={busy} onClick={() => void more()}>{t("load_more")}</button>}
            </div>
          </>
        )}
      </section>
    </>
  );
}
