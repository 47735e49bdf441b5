// session.ts: who is signed in and what they may do.
import { signal } from "@preact/signals";
import { call, get, Problem, remove, setCsrf, whenSignedOut } from "./api";
import { setLang } from "./i18n";
import { schema, type Schema } from "./schema";

export interface Me {
  id: string;
  login: string;
  name: string;
  language: string;
  time_zone: string;
  roles: string[];
  groups: string[];
  directions: string[];
  partner: string | null;
  rights: Record<string, string[]>;
}

interface SessionAnswer {
  csrf_token: string;
  user: Me;
}

export const me = signal<Me | null>(null);
export const sessionState = signal<"loading" | "out" | "in" | "broken">("loading");

export function may(entity: string, right: string): boolean {
  return me.value?.rights[entity]?.includes(right) ?? false;
}

export function isAdmin(): boolean {
  return me.value?.roles.some((r) => r === "crm_admin" || r === "crm_read_admin") ?? false;
}

async function enter(answer: SessionAnswer): Promise<void> {
  setCsrf(answer.csrf_token);
  setLang(answer.user.language === "ru" ? "ru" : "en");
  schema.value = await get<Schema>("schema");
  me.value = answer.user;
  sessionState.value = "in";
}

export function leave(): void {
  me.value = null;
  schema.value = null;
  sessionState.value = "out";
}

export async function loadSession(): Promise<void> {
  whenSignedOut(leave);
  sessionState.value = "loading";
  try {
    await enter(await get<SessionAnswer>("sessions/current"));
  } catch (error) {
    const out = error instanceof Problem && (error.status === 401 || error.status === 404);
    sessionState.value = out ? "out" : "broken";
  }
}

export async function signIn(login: string, password: string): Promise<void> {
  await enter((await call<SessionAnswer>("POST", "sessions", { body: { login, password } })).data);
}

export async function signOut(): Promise<void> {
  try {
    await remove("sessions/current");
  } finally {
    leave();
  }
}

/** Language of the person, kept at the server. */
export async function changeLanguage(language: "en" | "ru"): Promise<void> {
  const who = me.value;
  if (!who) return setLang(language);
  await call("PATCH", `users/${who.id}`, { body: { language } });
  setLang(language);
  schema.value = await get<Schema>("schema");
  me.value = { ...who, language };
}

