// api.ts: the one door to the server. Everything that the desk does goes through the public API.
import { lang } from "./i18n";

export interface ProblemEntry {
  pointer?: string;
  code: string;
  message: string;
  offset?: number;
  expected?: string[];
  suggestion?: string;
}

export interface ProblemBody {
  status: number;
  code: string;
  title: string;
  detail: string;
  errors?: ProblemEntry[];
  current?: Record<string, unknown>;
  request_id?: string;
}

/** An answer that says no. `status` 0: nobody answered (offline). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: ProblemEntry[];
  readonly body: ProblemBody;

  constructor(body: ProblemBody) {
    super(body.detail || body.title);
    this.status = body.status;
    this.code = body.code;
    this.errors = body.errors ?? [];
    this.body = body;
  }

  /** The message for a field, if the server named it. */
  forField(name: string): string | undefined {
    return this.errors.find((e) => e.pointer === `/${name}` || e.pointer === name)?.message;
  }
}

export interface Answer<T> {
  status: number;
  data: T;
  headers: Headers;
}

export type Query = Record<string, string | number | boolean | undefined>;

let csrf = "";
let onSignedOut: () => void = () => undefined;

export function setCsrf(token: string): void {
  csrf = token;
}

/** Called when the session has ended. */
export function whenSignedOut(f: () => void): void {
  onSignedOut = f;
}

export function address(path: string, query?: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined && value !== "") parameters.set(name, String(value));
  const text = parameters.toString();
  return `/api/v1/${path}${text ? `?${text}` : ""}`;
}

function offline(): Problem {
  const words = lang.value === "ru" ? "Нет связи с сервером" : "The server cannot be reached";
  return new Problem({ status: 0, code: "offline", title: words, detail: words });
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return new Problem((await response.json()) as ProblemBody);
  } catch {
    return new Problem({ status: response.status, code: "unknown", title: response.statusText, detail: `HTTP ${response.status}` });
  }
}

export interface Options {
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Throws a Problem for everything but 2xx. */
export async function call<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = { "Accept-Language": lang.value, ...options.headers };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf;
  let body: BodyInit | undefined;
  if (options.body instanceof Blob) body = options.body;
  else if (options.body !== undefined) {
    body = JSON.stringify(options.body);
    headers["Content-Type"] ??= "application/json";
  }
  let response: Response;
  try {
    response = await fetch(address(path, options.query), { method, headers, body, signal: options.signal ?? null });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw offline();
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.status === 401 && path !== "sessions") onSignedOut();
    throw problem;
  }
  const text = response.status === 204 ? "" : await response.text();
  return { status: response.status, data: (text ? JSON.parse(text) : undefined) as T, headers: response.headers };
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await call<T>("GET", path, { query, signal })).data;
}

export async function post<T>(path: string, body: unknown = {}, headers?: Record<string, string>): Promise<T> {
  return (await call<T>("POST", path, { body, headers })).data;
}

export async function patch<T>(path: string, body: unknown, version?: number): Promise<T> {
  const headers: Record<string, string> = version === undefined ? {} : { "If-Match": `"${version}"` };
  return (await call<T>("PATCH", path, { body, headers })).data;
}

export async function remove(path: string): Promise<void> {
  await call<undefined>("DELETE", path);
}
