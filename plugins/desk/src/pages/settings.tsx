// settings.tsx: every entity that an administrator keeps; each opens as a list with New, form, Save, Save and exit.
import { t, compare } from "../i18n";
import { schema } from "../schema";
import { may } from "../session";

const PEOPLE = ["user", "group", "role"];

export function SettingsPage() {
  const entities = Object.entries(schema.value?.entities ?? {}).filter(([n, e]) => (e.setting || PEOPLE.includes(n) || n === "price" || n === "currency_rate" || n === "holiday") && may(n, "read"));
  entities.sort(([, a], [, b]) => compare(a.plural, b.plural));
  return (
    <>
      <div class="page-head"><div><h1>{t("settings")}</h1><p class="muted">{t("settings_lead")}</p></div></div>
      <nav class="settings-grid" aria-label={t("settings")}>
        {entities.map(([n, e]) => <a key={n} class="panel" href={`/${e.collection}`}><strong>{e.plural}</strong></a>)}
      </nav>
    </>
  );
}
