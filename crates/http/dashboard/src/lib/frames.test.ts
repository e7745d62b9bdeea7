import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { forgetFrame, inFrame } from './frames';

describe('work in frames', () => {
  let frames: (() => void)[] = [];
  const frame = () => frames.splice(0).forEach((run) => run());

  beforeEach(() => {
    frames = [];
    vi.stubGlobal('requestAnimationFrame', (run: () => void) => frames.push(run));
  });
  afterEach(() => vi.unstubAllGlobals());

  it('is done one piece a frame, the newest of each owner', () => {
    const done: string[] = [];
    const [a, b] = [{}, {}];
    inFrame(a, () => done.push('old a'));
    inFrame(b, () => done.push('b'));
    inFrame(a, () => done.push('a'));
    frame();
    expect(done).toEqual(['a']);
    frame();
    expect(done).toEqual(['a', 'b']);
    frame();
    expect(frames.length).toBe(0);
  });

  it('is not done once its owner is gone', () => {
    const owner = {};
    const work = vi.fn();
    inFrame(owner, work);
    forgetFrame(owner);
    frame();
    expect(work).not.toHaveBeenCalled();
  });
});
