// move.ts: a move through a pipeline: one call, with the fields that its gate asks for when they are given.
import { patch, Problem } from "../api";
import { t } from "../i18n";
import type { Entity, Stage } from "../schema";
import { readRecord } from "../pages/record";
import { toast } from "../ui/toast";
import type { Row } from "../value";

export function stageField(entity: Entity): string {
  return Object.entries(entity.fields).find(([, f]) => f.type === "stage")?.[0] ?? "stage";
}

/** null when it moved; the gate's refusal otherwise. Other refusals are said in a message. */
export async function moveTo(entity: Entity, record: Row, stage: Stage, onMoved: (r: Row) => void, fields: Record<string, unknown> = {}): Promise<Problem | null> {
  try {
    await patch(`${entity.collection}/${record.id}`, { ...fields, [stageField(entity)]: stage.code });
    onMoved(await readRecord(entity, record.id));
    toast(`${t("done")}: ${stage.label}`);
    return null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 422 && error.errors.length) return error;
    toast(error.message);
    return null;
  }
}
