import { describe, expect, it } from 'vitest';
import { indentation } from './indent';

function after(text: string, from: number, to: number): string {
  const edit = indentation(text, from, to);
  return text.slice(0, edit.from) + edit.text + text.slice(edit.to);
}

describe('Tab in a text', () => {
  it('puts two spaces where the caret is, or in the place of what is selected in one line', () => {
    expect(after('a:\nb', 3, 3)).toBe('a:\n  b');
    expect(after('a: bc', 3, 4)).toBe('a:   c');
  });

  it('moves every line that a selection touches, and no empty one', () => {
    expect(after('a:\nb: 1\n\nc: 2\nd', 4, 12)).toBe('a:\n  b: 1\n\n  c: 2\nd');
  });

  it('leaves a line alone of which nothing is selected', () => {
    expect(after('a\nb\nc', 0, 4)).toBe('  a\n  b\nc');
  });
});
