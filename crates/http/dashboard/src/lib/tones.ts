import type { Container, ContainerState, Deploy, WorkloadState } from '../api/schema';

export type Tone = 'good' | 'warn' | 'bad' | 'idle' | 'busy';

export const WORKLOAD_TONES: Record<WorkloadState, Tone> = {
  running: 'good',
  degraded: 'warn',
  stopped: 'bad',
  absent: 'idle',
  unknown: 'idle',
};

const CONTAINER_TONES: Record<ContainerState, Tone> = {
  created: 'idle',
  running: 'good',
  paused: 'idle',
  restarting: 'warn',
  exited: 'bad',
  removing: 'idle',
  dead: 'bad',
  unknown: 'idle',
};

export function containerTone(container: Container): Tone {
  if (container.state === 'running' && container.health === 'unhealthy') {
    return 'bad';
  }
  return container.state === 'running' && container.health === 'starting' ? 'busy' : CONTAINER_TONES[container.state];
}

export function outcomeTone(outcome: Deploy['outcome']): Tone {
  switch (outcome) {
    case 'succeeded':
      return 'good';
    case 'failed':
      return 'bad';
    case 'running':
      return 'busy';
    default:
      return 'warn';
  }
}
