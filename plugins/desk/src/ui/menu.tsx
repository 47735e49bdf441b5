// menu.tsx: a button that opens a menu; arrows move, Esc closes, a click elsewhere closes.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface Props {
  label: string;
  button: ComponentChildren;
  className?: string;
  children: ComponentChildren;
}

function items(menu: HTMLElement | null): HTMLElement[] {
  return [...(menu?.querySelectorAll<HTMLElement>("[role=menuitem]:not([disabled])") ?? [])];
}

export function Menu({ label, button, className = "button", children }: Props) {
  const [open, setOpen] = useState(false);
  const wrap = useRef<HTMLDivElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    items(menu.current)[0]?.focus();
    const away = (e: Event): void => { if (e.target instanceof Node && !wrap.current?.contains(e.target)) setOpen(false); };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  const onKey = (e: KeyboardEvent): void => {
    const all = items(menu.current);
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (e.key === "Escape") {
      setOpen(false);
      wrap.current?.querySelector("button")?.focus();
    } else if (e.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
    else if (e.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div class="menu-wrap" ref={wrap} onKeyDown={open ? onKey : undefined}>
      <button class={className} type="button" aria-label={label} aria-haspopup="menu" aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        {button}
      </button>
      {open && (
        <div class="menu" role="menu" id={id} ref={menu} onClick={(e) => { if (e.target instanceof Element && e.target.closest("[role=menuitem]")) setOpen(false); }}>
          {children}
        </div>
      )}
    </div>
  );
}

export function MenuItem({ onClick, disabled, title, children }: { onClick: () => void; disabled?: boolean; title?: string; children: ComponentChildren }) {
  return <button class="menu-item" role="menuitem" type="button" tabIndex={-1} disabled={disabled} title={title} onClick={onClick}>{children}</button>;
}
