import type { Deploy, DeployStep } from '../api/schema';
import type { ServerEvent } from './sse';

/** What the events of a deploy have told so far. */
export interface Progress {
  step: DeployStep | null;
  /** The steps that were begun, in order. */
  steps: DeployStep['step'][];
  missed: number;
  outcome: Deploy | null;
}

export const BEGINNING: Progress = { step: null, steps: [], missed: 0, outcome: null };

/** What is known after one more event. Events that are not known say nothing. */
export function advanced(progress: Progress, { event, data }: ServerEvent): Progress {
  switch (event) {
    case 'step': {
      const step = JSON.parse(data) as DeployStep;
      const again = progress.steps.includes(step.step);
      return { ...progress, step, steps: again ? progress.steps : [...progress.steps, step.step] };
    }
    case 'missed':
      return { ...progress, missed: progress.missed + (JSON.parse(data) as { missed: number }).missed };
    case 'outcome':
      return { ...progress, outcome: JSON.parse(data) as Deploy };
    default:
      return progress;
  }
}

/** How much of an image is there, from 0 to 1; `null` while nobody knows how much there is. */
export function pulled(step: DeployStep | null): number | null {
  return step?.step === 'pulling' && step.bytes_total > 0 ? Math.min(1, step.bytes_done / step.bytes_total) : null;
}
