// toast.tsx: short messages at the bottom, read out to screen readers; an action may stand beside them.
import { signal } from "@preact/signals";
import { t } from "../i18n";

interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

const toasts = signal<Toast[]>([]);
let last = 0;

export function toast(text: string, action?: Toast["action"]): void {
  const id = ++last;
  toasts.value = [...toasts.value, { id, text, action }];
  setTimeout(() => dismiss(id), action ? 10000 : 5000);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((x) => x.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((x) => (
        <div class="toast" key={x.id}>
          <span>{x.text}</span>
          {x.action && (
            <button class="button" type="button" onClick={() => { x.action?.run(); dismiss(x.id); }}>{x.action.label}</button>
          )}
          <button class="button quiet" type="button" aria-label={t("close")} onClick={() => dismiss(x.id)}>×</button>
        </div>
      ))}
    </div>
  );
}
