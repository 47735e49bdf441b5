// pages.tsx: addresses and their pages: /, /{collection}, /{collection}/new, /{collection}/{id}. The first route that fits wins.
import type { VNode } from "preact";
import type { Place } from "./router";
import { entityOf } from "./schema";
import { t } from "./i18n";
import { Empty } from "./ui/states";
import { ListPage } from "./pages/list";
import { RecordPage } from "./pages/record";

type Route = (parts: string[], place: Place) => VNode | null;

const routes: Route[] = [
  (parts) => {
    const found = entityOf(parts[0] ?? "opportunities");
    return found && parts.length < 2 ? <ListPage key={found[0]} name={found[0]} entity={found[1]} /> : null;
  },
  (parts) => {
    const found = entityOf(parts[0] ?? "");
    const id = parts[1];
    return found && id && parts.length === 2 ? <RecordPage key={`${found[0]}/${id}`} name={found[0]} entity={found[1]} id={id === "new" ? null : id} /> : null;
  },
];

export function pageFor(place: Place): VNode {
  const parts = place.path.split("/").filter(Boolean);
  for (const route of routes) {
    const page = route(parts, place);
    if (page) return page;
  }
  return <Empty title={t("not_found")} lead={t("not_found_lead")}><a class="button" href="/">{t("home")}</a></Empty>;
}
