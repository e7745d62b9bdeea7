import { describe, expect, it } from 'vitest';
import { advanced, BEGINNING, share } from './progress';
import { EventParser, serverEvents, type ServerEvent } from './sse';

function parsed(...pieces: string[]): ServerEvent[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('server-sent events', () => {
  it('are whole however their text is cut', () => {
    const text = 'event: step\ndata: {"step":"pulling"}\n\nevent: outcome\r\ndata: a\r\ndata: b\r\n\r\n';
    const whole = [
      { event: 'step', data: '{"step":"pulling"}' },
      { event: 'outcome', data: 'a\nb' },
    ];
    expect(parsed(text)).toEqual(whole);
    expect(parsed(...text)).toEqual(whole);
  });

  it('leave comments and what is not whole out', () => {
    expect(parsed(': keep-alive\n\n', 'data: half\n')).toEqual([]);
  });

  it('are read from a body up to its end', async () => {
    const bytes = new TextEncoder().encode('event: step\ndata: "я"\n\n');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        bytes.forEach((byte) => controller.enqueue(new Uint8Array([byte])));
        controller.close();
      },
    });
    const events: ServerEvent[] = [];
    for await (const event of serverEvents(body)) events.push(event);
    expect(events).toEqual([{ event: 'step', data: '"я"' }]);
  });
});

describe('the progress of a deploy', () => {
  const events: ServerEvent[] = [
    { event: 'step', data: '{"step":"resolving"}' },
    { event: 'step', data: '{"step":"pulling","layers_done":0,"layers_total":2,"bytes_done":0,"bytes_total":0}' },
    { event: 'step', data: '{"step":"pulling","layers_done":1,"layers_total":2,"bytes_done":30,"bytes_total":60}' },
    { event: 'missed', data: '{"missed":4}' },
    { event: 'something-new', data: '?' },
  ];

  it('lists each step once, in order, and counts what was missed', () => {
    const progress = events.reduce(advanced, BEGINNING);
    expect(progress.steps.map(({ step }) => step)).toEqual(['resolving', 'pulling']);
    expect(progress.missed).toBe(4);
    expect(progress.outcome).toBeNull();
    expect(progress.steps.map(share)).toEqual([null, 0.5]);
  });

  it('knows no share before it is known how much there is to do', () => {
    expect(share({ step: 'pulling', layers_done: 0, layers_total: 2, bytes_done: 0, bytes_total: 0 })).toBeNull();
    expect(share({ step: 'building', steps_done: 0, steps_total: 0 })).toBeNull();
    expect(share({ step: 'building', steps_done: 1, steps_total: 4 })).toBe(0.25);
    expect(share({ step: 'rolling', done: 3, total: 3 })).toBe(1);
    expect(share({ step: 'verifying' })).toBeNull();
  });

  it('has each part once, with what is done to it now, also when it is told again from the beginning', () => {
    const part = (name: string, doing: string): ServerEvent => ({ event: 'step', data: JSON.stringify({ step: 'part', part: name, doing }) });
    const told = [part('db', 'pulling'), part('web', 'pulling'), part('db', 'done'), part('web', 'waiting_for_health')];
    const once = told.reduce(advanced, BEGINNING);
    expect(once.parts.map(({ part, doing }) => `${part} ${doing}`)).toEqual(['db done', 'web waiting_for_health']);
    expect(once.steps).toHaveLength(1);
    expect(told.reduce(advanced, once).parts).toEqual(once.parts);
  });
});
