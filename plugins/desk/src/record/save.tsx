// save.tsx: Save, Save and exit, Save and new; Ctrl+S, Ctrl+Enter, Esc.
import { useLayoutEffect } from "preact/hooks";
import { t } from "../i18n";
import { navigate } from "../router";
import type { Entity } from "../schema";
import { toast } from "../ui/toast";
import type { Draft } from "./draft";

export function SaveBar({ entity, draft, isNew }: { entity: Entity; draft: Draft; isNew: boolean }) {
  const save = async (then: "stay" | "exit" | "new"): Promise<void> => {
    const saved = await draft.save();
    if (!saved) return;
    toast(t("saved"));
    if (then === "exit") navigate(`/${entity.collection}`, { force: true });
    else if (then === "new") navigate(`/${entity.collection}/new`, { force: true });
    else if (isNew) navigate(`/${entity.collection}/${saved.id}`, { replace: true, force: true });
  };
  useLayoutEffect(() => { // at once: the next key may come before the browser paints
    const onKey = (e: KeyboardEvent): void => {
      const control = e.ctrlKey || e.metaKey;
      if (control && e.key === "s") { e.preventDefault(); if (draft.dirty) void save("stay"); }
      else if (control && e.key === "Enter") { e.preventDefault(); if (draft.dirty) void save("exit"); }
      else if (e.key === "Escape" && !e.defaultPrevented && !draft.dirty && !document.querySelector("dialog[open]")) navigate(`/${entity.collection}`);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
  if (!draft.dirty && !isNew) return null;
  return (
    <div class="save-bar" role="group" aria-label={t("save")}>
      <button class="button primary" type="button" disabled={draft.busy || !draft.dirty} onClick={() => void save("stay")} aria-keyshortcuts="Control+S">{t("save")}</button>
      <button class="button" type="button" disabled={draft.busy || !draft.dirty} onClick={() => void save("exit")} aria-keyshortcuts="Control+Enter">{t("save_exit")}</button>
      <button class="button" type="button" disabled={draft.busy || !draft.dirty} onClick={() => void save("new")}>{t("save_new")}</button>
      <span class="spacer" />
      <button class="button quiet" type="button" disabled={draft.busy} onClick={() => (isNew ? navigate(`/${entity.collection}`, { force: true }) : draft.reset())}>{t("cancel")}</button>
    </div>
  );
}
