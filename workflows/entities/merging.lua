-- merging.lua: decides what is kept of a merge, so that it can be undone.

entity "merge" {
  label = { en = "Merge", ru = "Объединение" },
  plural = { en = "Merges", ru = "Объединения", path = "merges" },
  title = "kept",
  server = true, -- written by the action "merge" alone
  fields = {
    kept = ref { to = "any", label = { en = "Kept", ru = "Оставлена" }, required = true },
    merged = ref { to = "any", label = { en = "Merged into it", ru = "Присоединена" }, required = true },
    reason = text { label = { en = "Reason", ru = "Причина" }, max = 1000 },
    links = json { label = { en = "References led over", ru = "Перенесённые ссылки" } },
    filled = json { label = { en = "Fields taken", ru = "Взятые поля" } },
    freed = json { label = { en = "Values given up", ru = "Освобождённые значения" } },
    undone_at = datetime { label = { en = "Undone at", ru = "Отменено" } },
  },
  views = { list = { "kept", "merged", "reason", "created_by", "created_at", "undone_at" } },
}
