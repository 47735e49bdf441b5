// bars.tsx: where a deal stands: the client's way above, the seller's stages below. Passed, current and coming differ in words and signs,
// not in colour alone. A click on a stage asks the server to move; what it misses is shown in a form.
import { useState } from "preact/hooks";
import { get, Problem } from "../api";
import { t } from "../i18n";
import { entityNamed, schema, type Entity, type Stage } from "../schema";
import { Icon } from "../ui/icon";
import { useLoaded } from "../ui/loaded";
import { isReference, type Row } from "../value";
import { moveTo } from "./move";
import { GateDialog } from "./gate";

type State = "passed" | "current" | "coming";

function BarStep({ label, state, onClick }: { label: string; state: State; onClick?: () => void }) {
  const inside = <>{state === "passed" && <Icon name="check" />}<span>{label}</span><span class="hidden">({t(state)})</span></>;
  if (!onClick || state === "current") return <li class={`bar-step ${state}`} aria-current={state === "current" ? "step" : undefined}>{inside}</li>;
  return <li class="bar-cell"><button class={`bar-step ${state}`} type="button" onClick={onClick}>{inside}</button></li>;
}

function stateOf(at: number, now: number): State {
  return at < now ? "passed" : at === now ? "current" : "coming";
}

interface Step {
  code: string;
  name: string;
}

/** The client's way, whole: also the steps that no stage leads to. */
function useLifecycle(target: string | undefined): Step[] {
  const collection = entityNamed(target)?.collection;
  const loaded = useLoaded(collection ?? "", async (signal) => (collection ? (await get<{ items: Step[] }>(collection, { sort: "order", fields: "code,name", limit: 100 }, signal)).items : []));
  return loaded.data ?? [];
}

export function StageBars({ entity, record, onMoved }: { entity: Entity; record: Row; onMoved: (r: Row) => void }) {
  const [refused, setRefused] = useState<{ stage: Stage; problem: Problem } | null>(null);
  const steps = useLifecycle(entity.fields["lifecycle_step"]?.to);
  const found = Object.entries(entity.fields).find(([, f]) => f.type === "stage");
  if (!found) return null;
  const [name, field] = found;
  const stages = schema.value?.pipelines[field.pipeline ?? ""]?.stages ?? [];
  const value = record[name];
  const code = isReference(value) ? value.code : String(value ?? "");
  const now = stages.findIndex((s) => s.code === code);
  const step = record["lifecycle_step"];
  const stepCode = isReference(step) ? step.code : String(step ?? "");
  const stepNow = steps.findIndex((s) => s.code === stepCode);
  const move = async (stage: Stage): Promise<void> => {
    const problem = await moveTo(entity, record, stage, onMoved);
    if (problem) setRefused({ stage, problem });
  };
  return (
    <div class="bars panel panel-body">
      {steps.length > 0 && stepNow >= 0 && (
        <div>
          <p class="bar-title">{entity.fields["lifecycle_step"]?.label ?? t("lifecycle")}</p>
          <ol class="bar" tabIndex={0} aria-label={t("lifecycle")}>
            {steps.map((s, i) => <BarStep key={s.code} label={s.name} state={stateOf(i, stepNow)} />)}
          </ol>
        </div>
      )}
      <div>
        <p class="bar-title">{field.label}</p>
        <ol class="bar" tabIndex={0} aria-label={t("stages")}>
          {stages.map((s, i) => <BarStep key={s.code} label={s.label} state={stateOf(i, now)} onClick={() => void move(s)} />)}
        </ol>
      </div>
      {refused && <GateDialog entity={entity} record={record} stage={refused.stage} problem={refused.problem} onClose={() => setRefused(null)} onMoved={(r) => { setRefused(null); onMoved(r); }} />}
    </div>
  );
}
