// theme.ts: light, dark, or as the system says; kept in this browser (it is no secret).
import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark" | "system";

const KEY = "perigee.theme";

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = signal<Theme>(stored());

export function followTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = (): void => {
    const now = theme.value === "system" ? (dark.matches ? "dark" : "light") : theme.value;
    document.documentElement.dataset["theme"] = now;
  };
  dark.addEventListener("change", show);
  effect(() => {
    localStorage.setItem(KEY, theme.value);
    show();
  });
}
