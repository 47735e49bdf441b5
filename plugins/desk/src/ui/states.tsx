// states.tsx: what stands where there is no content: loading, empty, wrong. No spinner without end: an error says how to go on.
import type { ComponentChildren } from "preact";
import { Problem } from "../api";
import { t } from "../i18n";

/** `page`: it is all there is, so its title is the page's. */
export function Empty({ title, lead, page, children }: { title: string; lead?: string; page?: boolean; children?: ComponentChildren }) {
  return (
    <div class="state">
      {page ? <h1>{title}</h1> : <h2>{title}</h2>}
      {lead && <p>{lead}</p>}
      {children}
    </div>
  );
}

export function Failed({ error, again }: { error: unknown; again: () => void }) {
  const problem = error instanceof Problem ? error : null;
  return (
    <div class="state" role="alert">
      <h2>{problem ? problem.body.title : t("broken")}</h2>
      <p>{problem ? problem.message : t("broken_lead")}</p>
      {problem?.body.request_id && <p class="muted mono">{problem.body.request_id}</p>}
      <button class="button" type="button" onClick={again}>{t("retry")}</button>
    </div>
  );
}

/** Grey lines as high as what comes, so that nothing jumps. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div class="panel-body" aria-busy="true" aria-label={t("loading")} role="status">
      {Array.from({ length: rows }, (_, i) => <div key={i} class={`skeleton skeleton-${i % 3}`} />)}
    </div>
  );
}
