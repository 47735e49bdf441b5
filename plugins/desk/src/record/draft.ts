// draft.ts: what a person has changed in a record and not saved yet; saving sends only that.
import { useState } from "preact/hooks";
import { patch, post, Problem } from "../api";
import type { Entity } from "../schema";
import { readRecord } from "../pages/record";
import { wire } from "../ui/input";
import type { Row } from "../value";

export interface Draft {
  record: Row | null;
  dirty: boolean;
  busy: boolean;
  problem: Problem | null;
  value: (field: string) => unknown;
  errorFor: (field: string) => string | undefined;
  set: (field: string, value: unknown) => void;
  reset: () => void;
  /** The saved record, or null when the server said no. `version` overrides the one that was read. */
  save: (version?: number) => Promise<Row | null>;
  changes: Record<string, unknown>;
}

export function useDraft(entity: Entity, record: Row | null, onSaved: (r: Row) => void): Draft {
  const [changes, setChanges] = useState<Record<string, unknown>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const body = (): Record<string, unknown> => {
    const out: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(changes)) {
      const field = entity.fields[name];
      if (field) out[name] = wire(field, value);
    }
    return out;
  };
  const save = async (version?: number): Promise<Row | null> => {
    setBusy(true);
    setProblem(null);
    try {
      const saved = record
        ? await patch<Row>(`${entity.collection}/${record.id}`, body(), version ?? Number(record["version"]))
        : await post<Row>(entity.collection, body(), { "Idempotency-Key": crypto.randomUUID() });
      const whole = await readRecord(entity, saved.id);
      setChanges({});
      onSaved(whole);
      return whole;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
      showFirst(error);
      return null;
    } finally {
      setBusy(false);
    }
  };
  return {
    record, changes, problem, busy, dirty: Object.keys(changes).length > 0, save,
    value: (f) => (f in changes ? changes[f] : record?.[f]),
    errorFor: (f) => problem?.forField(f),
    set: (f, v) => setChanges((c) => ({ ...c, [f]: v })),
    reset: () => { setChanges({}); setProblem(null); },
  };
}

/** Goes to the first field that the server named. */
export function showFirst(problem: Problem): void {
  const name = problem.errors[0]?.pointer?.replace(/^\//, "");
  if (!name) return;
  requestAnimationFrame(() => {
    const control = document.getElementById(`f-${name}`);
    control?.scrollIntoView({ block: "center" });
    control?.focus();
  });
}
