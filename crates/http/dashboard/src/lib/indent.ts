/** What Tab does in a text that is indented by spaces, as YAML is. */

const STEP = '  ';

/** A change of a text: what stands from one place up to another, and what comes there. */
export interface Edit {
  from: number;
  to: number;
  text: string;
}

/** Puts two spaces at the caret, or before each line that a selection touches. */
export function indentation(text: string, from: number, to: number): Edit {
  if (!text.slice(from, to).includes('\n')) {
    return { from, to, text: STEP };
  }
  const begin = text.lastIndexOf('\n', from - 1) + 1;
  // A line of which nothing is selected is not touched.
  const end = text[to - 1] === '\n' ? to - 1 : to;
  return { from: begin, to: end, text: text.slice(begin, end).replace(/^(?!$)/gm, STEP) };
}

/** Lets Tab indent. After Escape it leaves the field, as everywhere else; Shift and Tab always do. */
export function indents(area: HTMLTextAreaElement): () => void {
  let leaving = false;
  const pressed = (event: KeyboardEvent) => {
    if (event.key === 'Tab' && !event.shiftKey && !leaving) {
      event.preventDefault();
      insert(area, indentation(area.value, area.selectionStart, area.selectionEnd));
    }
    leaving = event.key === 'Escape';
  };
  area.addEventListener('keydown', pressed);
  return () => area.removeEventListener('keydown', pressed);
}

function insert(area: HTMLTextAreaElement, { from, to, text }: Edit): void {
  area.setSelectionRange(from, to);
  // Deprecated, and the only way that lets it be undone.
  document.execCommand('insertText', false, text);
  if (text.length > STEP.length) {
    area.setSelectionRange(from, from + text.length);
  }
}
