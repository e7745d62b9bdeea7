import { describe, expect, it } from 'vitest';
import { advanced, BEGINNING, pulled } from './progress';
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
    expect(progress.steps).toEqual(['resolving', 'pulling']);
    expect(progress.missed).toBe(4);
    expect(progress.outcome).toBeNull();
    expect(pulled(progress.step)).toBe(0.5);
  });

  it('knows no share before the size of the image is known', () => {
    expect(pulled(events.slice(0, 2).reduce(advanced, BEGINNING).step)).toBeNull();
    expect(pulled(null)).toBeNull();
  });
});
