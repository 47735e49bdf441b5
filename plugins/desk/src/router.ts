// router.ts: the address is the state: path and query in one signal, links that do not reload.
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  return { path: decodeURIComponent(location.pathname), query: new URLSearchParams(location.search) };
}

export const place = signal<Place>(here());

/** Asked before the page changes; false keeps it (unsaved changes). */
let guard: (() => boolean) | null = null;

export function guardLeaving(ask: (() => boolean) | null): void {
  guard = ask;
}

export function navigate(to: string, options: { replace?: boolean; force?: boolean } = {}): void {
  if (!options.force && guard && !guard()) return;
  guard = null;
  history[options.replace ? "replaceState" : "pushState"](null, "", to);
  place.value = here();
  if (!options.replace) window.scrollTo(0, 0);
}

/** Changes parts of the query and stays on the page. Empty values are taken away. */
export function setQuery(changes: Record<string, string | undefined>, replace = true): void {
  const query = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  navigate(`${location.pathname}${text ? `?${text}` : ""}`, { replace, force: true });
}

window.addEventListener("popstate", () => {
  if (guard && !guard()) {
    history.pushState(null, "", place.value.path);
    return;
  }
  guard = null;
  place.value = here();
});

/** Links inside the desk do not reload the page; those with a modifier, a target or to elsewhere do. */
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin || link.pathname.startsWith("/api/")) return;
  event.preventDefault();
  navigate(link.pathname + link.search + link.hash);
});
