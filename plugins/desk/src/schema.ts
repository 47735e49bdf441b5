// schema.ts: the catalog as the server describes it to this user; everything on the screen is built from it.
import { signal } from "@preact/signals";

export interface Option {
  value: string;
  label: string;
}

export type FieldType =
  | "text" | "longtext" | "integer" | "decimal" | "money" | "percent" | "boolean" | "date" | "datetime" | "email" | "phone"
  | "url" | "option" | "options" | "ref" | "refs" | "stage" | "file" | "json" | "formula" | "computed";

export interface Field {
  type: FieldType;
  label: string;
  help: string;
  required: boolean;
  unique: boolean;
  read: boolean;
  write: boolean;
  to?: string;
  options?: Option[];
  currency?: string;
  pipeline?: string;
  result?: FieldType;
}

export interface Section {
  label: string;
  fields: string[];
}

export interface Views {
  list?: string[];
  card?: string[];
  form?: Section[];
  board?: { group_by: string; sum?: string; card?: string[] };
}

export interface Entity {
  collection: string;
  label: string;
  plural: string;
  title: string;
  setting: boolean;
  fields: Record<string, Field>;
  views: Views;
  actions: string[];
}

export interface Stage {
  code: string;
  label: string;
  lifecycle_step: string | null;
  probability: number;
  require: string[];
  documents: string[];
}

export interface Schema {
  version: string;
  entities: Record<string, Entity>;
  pipelines: Record<string, { entity: string; stages: Stage[] }>;
}

export const schema = signal<Schema | null>(null);

export function entityOf(collection: string): [string, Entity] | undefined {
  return Object.entries(schema.value?.entities ?? {}).find(([, e]) => e.collection === collection);
}

export function entityNamed(name: string | undefined): Entity | undefined {
  return name ? schema.value?.entities[name] : undefined;
}

/** Fields every record has; they come last and are never written. */
export const SYSTEM = ["id", "number", "created_at", "created_by", "updated_at", "updated_by", "version", "active"];

export function listColumns(e: Entity): string[] {
  const declared = e.views.list?.filter((f) => e.fields[f]?.read);
  if (declared?.length) return declared;
  return Object.keys(e.fields).filter((f) => !SYSTEM.includes(f) && e.fields[f]?.read).slice(0, 6);
}

export function formSections(e: Entity, otherLabel: string): Section[] {
  const declared = (e.views.form ?? []).map((s) => ({ ...s, fields: s.fields.filter((f) => e.fields[f]?.read) })).filter((s) => s.fields.length);
  const shown = new Set(declared.flatMap((s) => s.fields));
  const rest = Object.keys(e.fields).filter((f) => !shown.has(f) && !SYSTEM.includes(f) && e.fields[f]?.read);
  if (!rest.length) return declared;
  return [...declared, { label: declared.length ? otherLabel : e.label, fields: rest }];
}

/** What expand= needs so that references show names. */
export function references(e: Entity, fields: string[]): string[] {
  return fields.filter((f) => f !== "id" && ["ref", "refs", "stage"].includes(e.fields[f]?.type ?? ""));
}
