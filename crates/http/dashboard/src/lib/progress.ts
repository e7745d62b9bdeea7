import type { Deploy, DeployStep, PartStep } from '../api/schema';
import type { ServerEvent } from './sse';

/** What the events of a deploy have told so far. */
export interface Progress {
  step: DeployStep | null;
  /** The steps that were begun, in order, each as it was told last. */
  steps: readonly DeployStep[];
  /** What is done to each of several parts, in the order in which they were begun. */
  parts: readonly PartProgress[];
  missed: number;
  outcome: Deploy | null;
}

export interface PartProgress {
  part: string;
  doing: PartStep;
}

export const BEGINNING: Progress = { step: null, steps: [], parts: [], missed: 0, outcome: null };

/** What is known after one more event. Events that are not known say nothing. */
export function advanced(progress: Progress, { event, data }: ServerEvent): Progress {
  switch (event) {
    case 'step':
      return stepped(progress, JSON.parse(data) as DeployStep);
    case 'missed':
      return { ...progress, missed: progress.missed + (JSON.parse(data) as { missed: number }).missed };
    case 'outcome':
      return { ...progress, outcome: JSON.parse(data) as Deploy };
    default:
      return progress;
  }
}

function stepped(progress: Progress, step: DeployStep): Progress {
  return {
    ...progress,
    step,
    steps: withNewest(progress.steps, step, (one) => one.step === step.step),
    parts: step.step === 'part' ? withNewest(progress.parts, step, (one) => one.part === step.part) : progress.parts,
  };
}

/** The list with an item in the place of an earlier state of it, or at the end when it is new. */
function withNewest<T>(list: readonly T[], item: T, isSame: (one: T) => boolean): T[] {
  return list.some(isSame) ? list.map((one) => (isSame(one) ? item : one)) : [...list, item];
}

/** How much of a step is done, from 0 to 1; `null` where nobody knows how much there is to do. */
export function share(step: DeployStep): number | null {
  switch (step.step) {
    case 'pulling':
      return of(step.bytes_done, step.bytes_total);
    case 'building':
      return of(step.steps_done, step.steps_total);
    case 'rolling':
      return of(step.done, step.total);
    default:
      return null;
  }
}

const of = (done: number, total: number) => (total > 0 ? Math.min(1, done / total) : null);
