/** What is wrong with what was typed, found before anything is sent. */
export type Mistake = 'required' | 'notANumber' | 'notAnObject' | 'twice';

/** Mistakes by the path that the API gives a field, such as `ports[0].host`. */
export type Mistakes = Record<string, Mistake>;

/** A number as people write it, with a comma or a point; `null` for what is none. */
export function parseNumber(typed: string): number | null {
  const plain = typed.trim().replace(',', '.');
  return /^-?\d+(\.\d+)?$/.test(plain) ? Number(plain) : null;
}

/** A JSON object; of nothing, one without members; `null` for what is none. */
function parseObject(typed: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(typed.trim() || '{}');
    return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null;
  }
}

/** Reads what was typed into a form, and keeps what cannot be read. */
export class Reader {
  readonly mistakes: Mistakes = {};

  number(field: string, typed: string): number {
    const value = parseNumber(typed);
    if (value === null) {
      this.mistakes[field] = typed.trim() === '' ? 'required' : 'notANumber';
    }
    return value ?? 0;
  }

  optional(field: string, typed: string): number | null {
    return typed.trim() === '' ? null : this.number(field, typed);
  }

  required(field: string, typed: string): string {
    if (typed.trim() === '') {
      this.mistakes[field] = 'required';
    }
    return typed.trim();
  }

  object(field: string, typed: string): Record<string, unknown> {
    const value = parseObject(typed);
    if (value === null) {
      this.mistakes[field] = 'notAnObject';
    }
    return value ?? {};
  }
}
