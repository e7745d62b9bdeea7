import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Backoff } from './backoff';
import { LiveStream, type LiveState } from './live';

class FakeSocket {
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onopen = null;
  onerror = null;
  closed = false;

  close(): void {
    this.closed = true;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

interface World {
  sockets: FakeSocket[];
  states: LiveState[];
  messages: unknown[];
  polls: number;
  answers: boolean;
  lost: number;
  stream: LiveStream<{ ts: number }>;
  latest: () => FakeSocket;
}

function world(address: () => Promise<URL> = async () => new URL('ws://host/api')): World {
  const made: World = {
    sockets: [],
    states: [],
    messages: [],
    polls: 0,
    answers: true,
    lost: 0,
    latest: () => made.sockets.at(-1) as FakeSocket,
    stream: new LiveStream<{ ts: number }>({
      address,
      poll: async () => {
        made.polls += 1;
        if (!made.answers) throw new Error('away');
        return { ts: -made.polls };
      },
      onMessage: (message) => made.messages.push(message),
      onState: (state) => made.states.push(state),
      onLost: () => (made.lost += 1),
      open: () => {
        const socket = new FakeSocket();
        made.sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      backoff: new Backoff(1_000, 30_000, () => 1),
    }),
  };
  return made;
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a live stream', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('gives what the socket says, but not that something was missed', async () => {
    const { stream, latest, messages, states } = world();
    stream.start();
    await pass(0);
    latest().say({ missed: 3 });
    latest().say({ ts: 1 });
    expect(messages).toEqual([{ ts: 1 }]);
    expect(states.at(-1)).toBe('live');
    stream.close();
  });

  it('opens a new socket when one breaks, waiting longer each time', async () => {
    const { stream, sockets, latest } = world();
    stream.start();
    await pass(0);
    latest().onclose?.();
    await pass(999);
    expect(sockets.length).toBe(1);
    await pass(1);
    expect(sockets.length).toBe(2);
    latest().onclose?.();
    await pass(1_999);
    expect(sockets.length).toBe(2);
    await pass(1);
    expect(sockets.length).toBe(3);
    stream.close();
  });

  it('asks every 15 seconds while no socket gets through, and stops when one does', async () => {
    let through = false;
    const made = world(() => (through ? Promise.resolve(new URL('ws://host/')) : Promise.reject(new Error('no'))));
    made.stream.start();
    await pass(1_000);
    expect(made.states.at(-1)).toBe('polling');
    await pass(15_000);
    expect(made.polls).toBe(2);
    through = true;
    await pass(30_000);
    made.latest().say({ ts: 9 });
    const asked = made.polls;
    await pass(40_000);
    expect(made.polls).toBe(asked);
    expect(made.states.at(-1)).toBe('live');
    made.stream.close();
  });

  it('says so when neither way gets through, and when one does again', async () => {
    const made = world(() => Promise.reject(new Error('no')));
    made.answers = false;
    made.stream.start();
    await pass(20_000);
    expect(made.states.at(-1)).toBe('connecting');
    expect(made.lost).toBe(2);
    made.answers = true;
    await pass(15_000);
    expect(made.states.at(-1)).toBe('polling');
    made.stream.close();
  });

  it('gives up a socket that says nothing for 45 seconds', async () => {
    const { stream, sockets, latest } = world();
    stream.start();
    await pass(0);
    latest().say({ ts: 1 });
    const first = latest();
    await pass(45_000);
    expect(first.closed).toBe(true);
    await pass(1_000);
    expect(sockets.length).toBe(2);
    stream.close();
  });

  it('leaves no timer behind when it is closed or paused', async () => {
    for (const end of ['close', 'pause'] as const) {
      const made = world(() => Promise.reject(new Error('no')));
      made.stream.start();
      await pass(5_000);
      made.stream[end]();
      expect(vi.getTimerCount()).toBe(0);
    }
  });

  it('does not use an address that came after it was closed', async () => {
    let answer: (url: URL) => void = () => undefined;
    const { stream, sockets } = world(() => new Promise((resolve) => (answer = resolve)));
    stream.start();
    stream.close();
    answer(new URL('ws://host/'));
    await pass(0);
    expect(sockets.length).toBe(0);
  });
});

describe('waits between attempts', () => {
  it('double up to a limit and begin anew', () => {
    const backoff = new Backoff(1_000, 5_000, () => 1);
    expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
    backoff.reset();
    expect(backoff.next()).toBe(1_000);
  });

  it('are spread, so that many pages do not come back at once', () => {
    expect(new Backoff(1_000, 5_000, () => 0).next()).toBe(500);
  });
});
