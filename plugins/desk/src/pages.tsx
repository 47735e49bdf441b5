// pages.tsx: addresses and their pages: /, /settings, /{collection}, /{collection}/board, /{collection}/new, /{collection}/{id}. The first route that fits wins.
import type { VNode } from "preact";
import type { Place } from "./router";
import { entityOf } from "./schema";
import { t } from "./i18n";
import { Empty } from "./ui/states";
import { BoardPage } from "./pages/board";
import { ListPage } from "./pages/list";
import { RecordPage } from "./pages/record";
import { SettingsPage } from "./pages/settings";
import { TodayPage } from "./pages/today";

type Route = (parts: string[], place: Place) => VNode | null;

const routes: Route[] = [
  (parts) => (parts.length === 0 ? <TodayPage /> : null),
  (parts) => (parts.length === 1 && parts[0] === "settings" ? <SettingsPage /> : null),
  (parts) => {
    const found = entityOf(parts[0] ?? "");
    return found && parts[1] === "board" && parts.length === 2 ? <BoardPage key={`${found[0]}/board`} entity={found[1]} /> : null;
  },
  (parts) => {
    const found = entityOf(parts[0] ?? "");
    return found && parts.length === 1 ? <ListPage key={found[0]} name={found[0]} entity={found[1]} /> : null;
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
  return <Empty page title={t("not_found")} lead={t("not_found_lead")}><a class="button" href="/">{t("home")}</a></Empty>;
}
