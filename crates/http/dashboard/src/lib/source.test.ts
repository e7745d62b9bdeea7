import { describe, expect, it } from 'vitest';
import type { Source } from '../api/schema';
import { gitReference, gitText } from './git';
import { Reader, type Mistakes } from './reader';
import { asked, draftOfSource, placeOfSource, referenceOf, sourceOf, type SourceDraft } from './source';

const source = (kind: string, reference: string, options?: Record<string, unknown>): Source =>
  ({ kind, reference, ...(options && { options }) }) as Source;

const REPO = 'https://git.example/team/app.git';

function made(draft: SourceDraft): { source: Source; mistakes: Mistakes } {
  const read = new Reader();
  return { source: sourceOf(draft, read), mistakes: read.mistakes };
}

function changed(one: Source, change: Partial<SourceDraft>): ReturnType<typeof made> {
  return made({ ...draftOfSource(one), ...change });
}

describe('a Git reference', () => {
  it.each([
    [REPO, { url: REPO, revision: '', path: '' }],
    [`${REPO}#main`, { url: REPO, revision: 'main', path: '' }],
    [`${REPO}#feature/x:services/api`, { url: REPO, revision: 'feature/x', path: 'services/api' }],
    [`${REPO}#:api`, { url: REPO, revision: '', path: 'api' }],
    ['https://h:8443/a.git#v1:a:b', { url: 'https://h:8443/a.git', revision: 'v1', path: 'a:b' }],
  ])('%s is taken apart and put together again', (text, parts) => {
    expect(gitReference(text)).toEqual(parts);
    expect(gitText(parts)).toBe(text);
  });
});

describe('a source in a form', () => {
  const build_args = [
    { name: 'VERSION', value: '1' },
    { name: 'EMPTY', value: '' },
    { name: 'KEY', secret: 'env:KEY' },
  ];
  it.each([
    source('image', 'r/app:1'),
    source('git', `${REPO}#main:api`, { dockerfile: 'Dockerfile.prod', build_args, token: 'file:/run/token', user: 'bot' }),
    source('git', REPO),
    source('compose', 'inline', { file: 'services:\n  web:\n    image: app\n\n' }),
    source('compose', '/srv/shop/compose.yaml'),
    source('compose', `${REPO}#v1:deploy/compose.yaml`, { token: 'env:TOKEN' }),
    source('swarm', 'r/app:1', { parallelism: 2, delay_s: 5, publish: 'host' }),
    source('swarm', 'r/app:1'),
    source('own', 'anything at all', { nested: { deep: [1, null, 'x'] } }),
    source('own', 'anything at all'),
  ])('comes out as it went in: %j', (one) => {
    expect(made(draftOfSource(one))).toEqual({ source: one, mistakes: {} });
  });

  it('keeps options that the form has no field for', () => {
    const one = source('git', REPO, { depth: 1, token: 'env:A' });
    expect(changed(one, { token: '' }).source).toEqual(source('git', REPO, { depth: 1 }));
  });

  it('sends nothing that was typed for another kind', () => {
    const typed = { file: 'services: {}', token: 'env:T', parallelism: 'x', dockerfile: 'D', options: '{' };
    expect(changed(source('image', 'r/app:1'), typed)).toEqual({ source: source('image', 'r/app:1'), mistakes: {} });
    expect(changed(source('compose', 'inline', { file: 'a' }), { token: 'env:T' }).source).toEqual(source('compose', 'inline', { file: 'a' }));
  });

  it('says what is missing at the field where it is typed', () => {
    expect(made(draftOfSource(source('image', ''))).mistakes).toEqual({ 'source.reference': 'required' });
    expect(made(draftOfSource(source('git', ''))).mistakes).toEqual({ 'source.reference': 'required' });
    expect(made(draftOfSource(source('compose', ''))).mistakes).toEqual({ 'source.options.file': 'required' });
    expect(changed(source('compose', ''), { from: 'host' }).mistakes).toEqual({ 'source.reference': 'required' });
    expect(changed(source('compose', ''), { from: 'git' }).mistakes).toEqual({ 'source.reference': 'required' });
    expect(changed(source('swarm', 'a'), { parallelism: 'two', delay: '' }).mistakes).toEqual({ 'source.options.parallelism': 'notANumber' });
  });

  it.each(['{', '[]', 'null', '"text"', '1'])('takes nothing but an object for the options of a host’s own kind: %s', (options) => {
    expect(changed(source('own', 'a'), { options }).mistakes).toEqual({ 'source.options': 'notAnObject' });
  });
});

describe('a refused field of a source', () => {
  const git = draftOfSource(source('git', REPO, { build_args: [{ name: 'A', value: '1' }] }));
  const compose = draftOfSource(source('compose', 'inline', { file: 'x' }));
  const own = draftOfSource(source('own', 'a'));

  it.each([
    ['source.reference', git, 'source.reference'],
    ['source.kind', git, 'source.kind'],
    ['source.options.dockerfile', git, 'source.options.dockerfile'],
    ['source.options.build_args[0].name', git, 'source.options.build_args[0].name'],
    ['source.options.build_args[0].secret', git, 'source.options.build_args[0].value'],
    ['source.options.build_args[0]', git, 'source.options.build_args[0].value'],
    ['source.options.file', compose, 'source.options.file'],
    ['source.options.anything.deep', own, 'source.options'],
  ])('%s is said at its own', (field, draft, place) => {
    expect(placeOfSource(field, draft)).toBe(place);
  });

  it.each([
    ['source.options.build_args[7].name', git],
    ['source.options.file', git],
    ['source.reference', compose],
    ['source.options.token', compose],
    ['source.options.token', { ...compose, from: 'host' as const }],
  ])('%s is said above the form when it is not shown', (field, draft) => {
    expect(placeOfSource(field, draft)).toBeNull();
  });
});

describe('the reference of a dispatch', () => {
  it.each([
    [source('image', 'r/app:1'), 'image', 'r/app:2', 'r/app:2'],
    [source('swarm', 'r/app:1'), 'image', ' r/app:2 ', 'r/app:2'],
    [source('git', `${REPO}#main:api`), 'revision', 'v2', `${REPO}#v2:api`],
    [source('git', REPO), 'revision', 'v2', `${REPO}#v2`],
    [source('compose', `${REPO}#main:compose.yaml`), 'revision', 'abc123', `${REPO}#abc123:compose.yaml`],
    [source('compose', 'inline'), 'nothing', 'typed', null],
    [source('compose', '/srv/shop'), 'nothing', 'typed', null],
    [source('own', 'a'), 'other', 'b', 'b'],
  ])('of %j may be: %s', (one, may, typed, reference) => {
    expect(asked(one)).toBe(may);
    expect(referenceOf(one, typed)).toBe(reference);
    expect(referenceOf(one, '  ')).toBeNull();
  });
});
