import type { Source } from '../api/schema';
import { gitReference, gitText, type GitReference } from './git';
import type { Reader } from './reader';
import { draftOfVariable, variableOf, type Variable } from './variables';

/** Where a Compose file is. */
export type ComposeFrom = 'inline' | 'host' | 'git';

export const COMPOSE_FROM: ComposeFrom[] = ['inline', 'host', 'git'];

/** Where a published port of a swarm's service is answered. */
export type Publish = 'ingress' | 'host';

export const PUBLISH: Publish[] = ['ingress', 'host'];

/** The reference of a Compose file that is written in the spec. */
const INLINE = 'inline';

/** Whether a reference says that the spec itself holds what runs. */
export const isInline = (kind: string | undefined, reference: string | null): boolean => kind === 'compose' && reference === INLINE;

type Options = Record<string, unknown>;

/** A source as a form holds it: the fields of all kinds, so that nothing typed is lost while somebody chooses one. */
export interface SourceDraft {
  kind: string;
  /** Of an image, and of kinds that this page does not know. */
  reference: string;
  git: GitReference;
  dockerfile: string;
  args: Variable[];
  token: string;
  user: string;
  from: ComposeFrom;
  file: string;
  /** Of a Compose file on the host. */
  path: string;
  parallelism: string;
  delay: string;
  publish: Publish;
  /** Options of kinds that this page does not know, as JSON. */
  options: string;
  /** Options that the form has no field for: they go back as they came. */
  kept: Options;
}

/** The options that the form has fields for, by kind. */
const FIELDS: Record<string, readonly string[]> = {
  image: [],
  git: ['dockerfile', 'build_args', 'token', 'user'],
  compose: ['file', 'token'],
  swarm: ['parallelism', 'delay_s', 'publish'],
};

/** Whether this page has fields for a kind. A host may register others. */
export const isKnown = (kind: string): boolean => kind in FIELDS;

/** What the spec of a source says where the reference of a dispatch may say something else. */
export type Asked = 'image' | 'revision' | 'nothing' | 'other';

/** What the reference of a dispatch may be. */
export function asked({ kind, reference }: Source): Asked {
  switch (kind) {
    case 'image':
    case 'swarm':
      return 'image';
    case 'git':
      return 'revision';
    case 'compose':
      return fromOf(reference) === 'git' ? 'revision' : 'nothing';
    default:
      return 'other';
  }
}

/** The reference of a dispatch, of what was typed in the place of the spec's; `null` leaves it to the spec. */
export function referenceOf(source: Source, typed: string): string | null {
  if (typed.trim() === '' || asked(source) === 'nothing') {
    return null;
  }
  return asked(source) === 'revision' ? gitText({ ...gitReference(source.reference), revision: typed }) : typed.trim();
}

function fromOf(reference: string): ComposeFrom {
  if (reference === INLINE || reference === '') {
    return 'inline';
  }
  return reference.startsWith('/') ? 'host' : 'git';
}

const text = (value: unknown): string => (value == null ? '' : String(value));

/** The draft of a source. */
export function draftOfSource({ kind, reference, options: given }: Source): SourceDraft {
  const options: Options = given ?? {};
  const from = kind === 'compose' ? fromOf(reference) : 'inline';
  const fromGit = kind === 'git' || (kind === 'compose' && from === 'git');
  return {
    kind,
    reference,
    git: gitReference(fromGit ? reference : ''),
    dockerfile: text(options.dockerfile),
    args: Array.isArray(options.build_args) ? options.build_args.map(draftOfVariable) : [],
    token: text(options.token),
    user: text(options.user),
    from,
    file: text(options.file),
    path: from === 'host' ? reference : '',
    parallelism: text(options.parallelism),
    delay: text(options.delay_s),
    publish: options.publish === 'host' ? 'host' : 'ingress',
    options: isKnown(kind) || Object.keys(options).length === 0 ? '' : JSON.stringify(options, null, 2),
    kept: isKnown(kind) ? without(options, FIELDS[kind] ?? []) : {},
  };
}

function without(options: Options, names: readonly string[]): Options {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

/** The source of a draft. */
export function sourceOf(draft: SourceDraft, read: Reader): Source {
  const options = { ...draft.kept, ...optionsOf(draft, read) };
  const source = { kind: draft.kind, reference: referenceOfDraft(draft, read) };
  return Object.keys(options).length === 0 ? source : { ...source, options: options as Source['options'] };
}

function referenceOfDraft(draft: SourceDraft, read: Reader): string {
  switch (draft.kind) {
    case 'git':
      return referenceOfGit(draft, read);
    case 'compose':
      return referenceOfCompose(draft, read);
    default:
      return read.required('source.reference', draft.reference);
  }
}

function referenceOfGit(draft: SourceDraft, read: Reader): string {
  read.required('source.reference', draft.git.url);
  return gitText(draft.git);
}

function referenceOfCompose(draft: SourceDraft, read: Reader): string {
  switch (draft.from) {
    case 'inline':
      return INLINE;
    case 'host':
      return read.required('source.reference', draft.path);
    case 'git':
      return referenceOfGit(draft, read);
  }
}

function optionsOf(draft: SourceDraft, read: Reader): Options {
  switch (draft.kind) {
    case 'image':
      return {};
    case 'git':
      return { ...given('dockerfile', draft.dockerfile), ...argsOf(draft.args), ...given('token', draft.token), ...given('user', draft.user) };
    case 'compose':
      return draft.from === 'inline' ? fileOf(draft, read) : draft.from === 'git' ? given('token', draft.token) : {};
    case 'swarm':
      return swarmOptions(draft, read);
    default:
      return read.object('source.options', draft.options);
  }
}

/** What is left out is as the kind has it by itself. */
function swarmOptions(draft: SourceDraft, read: Reader): Options {
  const publish = draft.publish === 'host' ? { publish: draft.publish } : {};
  return { ...number('parallelism', draft.parallelism, read), ...number('delay_s', draft.delay, read), ...publish };
}

/** An option that is left out where nothing was typed. */
function given(name: string, typed: string): Options {
  return typed.trim() === '' ? {} : { [name]: typed.trim() };
}

function number(name: string, typed: string, read: Reader): Options {
  const value = read.optional(`source.options.${name}`, typed);
  return value === null ? {} : { [name]: value };
}

function argsOf(args: Variable[]): Options {
  return args.length === 0 ? {} : { build_args: args.map(variableOf) };
}

/** As it was typed: a block at the end of a YAML file may mean its last line breaks. */
function fileOf(draft: SourceDraft, read: Reader): Options {
  read.required('source.options.file', draft.file);
  return { file: draft.file };
}

/** The place that the form has for a field that the API refuses; `null` where it has none. */
export function placeOfSource(field: string, draft: SourceDraft): string | null {
  const arg = /^source\.options\.build_args\[(\d+)\](?:\.(\w+))?/.exec(field);
  if (arg !== null) {
    const there = draft.kind === 'git' && draft.args[Number(arg[1])] !== undefined;
    return there ? `source.options.build_args[${arg[1]}].${arg[2] === 'name' ? 'name' : 'value'}` : null;
  }
  if (!isKnown(draft.kind) && field.startsWith('source.options')) {
    return 'source.options';
  }
  return placesOf(draft).includes(field) ? field : null;
}

function placesOf(draft: SourceDraft): string[] {
  const inline = draft.kind === 'compose' && draft.from === 'inline';
  const options = draft.kind === 'compose' ? { inline: ['file'], host: [], git: ['token'] }[draft.from] : (FIELDS[draft.kind] ?? []);
  return ['source.kind', ...(inline ? [] : ['source.reference']), ...options.map((name) => `source.options.${name}`)];
}
