/** A name with a literal value or a reference to a secret, as a form holds it. */
export interface Variable {
  name: string;
  kind: 'value' | 'secret';
  text: string;
}

interface Given {
  name: string;
  value?: string | null;
  secret?: string | null;
}

export function draftOfVariable({ name, value, secret }: Given): Variable {
  const isSecret = secret != null;
  return { name, kind: isSecret ? 'secret' : 'value', text: secret ?? value ?? '' };
}

export function variableOf({ name, kind, text }: Variable): Given {
  return { name: name.trim(), [kind]: text };
}
