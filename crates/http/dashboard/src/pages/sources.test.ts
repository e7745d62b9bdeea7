import { afterEach, describe, expect, it } from 'vitest';
import { render } from 'svelte/server';
import type { Component } from 'svelte';
import type { KindStatus, Source } from '../api/schema';
import { i18n } from '../i18n/i18n.svelte';
import { en } from '../i18n/en';
import { ru } from '../i18n/ru';
import { draftOfSource } from '../lib/source';
import PartList from '../parts/PartList.svelte';
import KindChoice from './KindChoice.svelte';
import KindsPanel from './KindsPanel.svelte';
import SourceFields from './SourceFields.svelte';

/** What the server of this test says of its kinds. */
const status = (kind: string, missing: string[] = []): KindStatus => ({ kind, rollback: true, ready: missing.length === 0, uses: [], missing });
const KINDS = [status('compose'), status('git', ['git was not found. Install it on the host.']), status('image'), status('own')];

function shown<P extends object>(component: Component<P, object, any>, props: P): string {
  return render(component as Component<any>, { props }).body.replace(/<!--.*?-->/g, '');
}

const labels = (html: string) => [...html.matchAll(/<label for="[^"]*"[^>]*>([^<]*)<\/label>/g)].map(([, text]) => text);

function fields(source: Source, errors: Record<string, string> = {}): string {
  return shown(SourceFields, { draft: draftOfSource(source), errors });
}

afterEach(() => {
  i18n.t = en;
});

describe('the fields of a source kind', () => {
  it.each([
    ['image', 'r/app:1', ['Image reference']],
    ['swarm', 'r/app:1', ['Image reference', 'Replicas replaced at a time', 'Pause between them, s', 'Where published ports answer']],
    ['git', 'https://h/a.git', ['Repository', 'Branch, tag or commit', 'Subfolder', 'Dockerfile', 'Token for the repository', 'User name for the token']],
    ['compose', 'inline', ['Compose file', 'Text of the Compose file']],
    ['compose', '/srv/shop', ['Compose file', 'Path on the host']],
    ['compose', 'https://h/a.git', ['Compose file', 'Token for the repository', 'Repository', 'Branch, tag or commit', 'Path of the Compose file']],
    ['own', 'x', ['Reference', 'Options, as JSON']],
  ])('%s (%s) has what it takes', (kind, reference, expected) => {
    expect(labels(fields({ kind, reference }))).toEqual(expected);
  });

  it('hold what the spec says, taken apart', () => {
    const html = fields({ kind: 'git', reference: 'https://h/a.git#v1:api', options: { build_args: [{ name: 'KEY', secret: 'env:KEY' }] } } as unknown as Source);
    for (const value of ['https://h/a.git', 'v1', 'api', 'KEY']) expect(html).toContain(`value="${value}"`);
    expect(html).toContain('>env:KEY</textarea>');
    expect(labels(html)).toContain('Secret reference');
  });

  it.each([
    ['source.reference', 'git', 'https://h/a.git'],
    ['source.options.token', 'git', 'https://h/a.git'],
    ['source.options.file', 'compose', 'inline'],
    ['source.options.parallelism', 'swarm', 'r/app:1'],
    ['source.options', 'own', 'x'],
  ])('say at %s what is wrong with it', (path, kind, reference) => {
    const html = fields({ kind, reference }, { [path]: 'This is wrong.' });
    const field = html.slice(html.indexOf(`data-field="${path}"`)).split('data-field=')[1];
    expect(field).toContain('aria-invalid="true"');
    expect(field).toContain('This is wrong.');
    expect(html.match(/aria-invalid="true"/g)).toHaveLength(1);
  });
});

describe('the choice of a kind', () => {
  it('has those of the server, and says what the chosen one lacks', () => {
    const html = shown(KindChoice, { kind: 'git', kinds: KINDS, fixed: false, errors: {} });
    expect([...html.matchAll(/value="(\w+)"/g)].map(([, kind]) => kind)).toEqual(['compose', 'git', 'image', 'own']);
    expect(html).toContain('git was not found. Install it on the host.');
    expect(html).toContain('A source kind of this host.');
    expect(shown(KindChoice, { kind: 'image', kinds: KINDS, fixed: false, errors: {} })).not.toContain('Install it');
  });

  it('is none where there is one kind, or the app has one', () => {
    expect(shown(KindChoice, { kind: 'image', kinds: [status('image')], fixed: false, errors: {} })).not.toContain('type="radio"');
    const fixed = shown(KindChoice, { kind: 'compose', kinds: KINDS, fixed: true, errors: {} });
    expect(fixed).not.toContain('type="radio"');
    expect(fixed).toMatch(/value="Compose"[^>]*readonly/);
  });

  it('says what the server has against it', () => {
    const html = shown(KindChoice, { kind: 'image', kinds: KINDS, fixed: false, errors: { 'source.kind': 'Nobody knows it.' } });
    expect(html).toContain('Nobody knows it.');
    expect(html).toContain('aria-invalid="true"');
  });

  it('speaks Russian', () => {
    i18n.t = ru;
    const html = shown(KindChoice, { kind: 'compose', kinds: KINDS, fixed: false, errors: {} });
    expect(html).toContain('Вид источника');
    expect(html).toContain('Запускает сервисы из файла Compose.');
  });
});

describe('the parts of a deploy', () => {
  const digest = 'a1b2c3d4e5f6' + '0'.repeat(52);
  const parts = [
    { name: 'db', reference: `r/db@sha256:${digest}`, content: `sha256:${digest}` },
    { name: 'web', reference: `sha256:${digest}`, content: `sha256:${digest}` },
  ];

  it('are counted, and each has a short digest that can be copied', () => {
    const html = shown(PartList, { parts });
    expect(html).toContain('2 services');
    expect(html).toContain('r/db@a1b2c3d4e5f6');
    expect(html).toContain('sha256:a1b2c3d4e5f6');
    expect(html).toContain('Copy the pinned reference of web');
  });

  it('are not spoken of where there is but one thing', () => {
    expect(shown(PartList, { parts: [] }).trim()).toBe('');
  });
});

describe('the source kinds of a server', () => {
  const lacking = { ...status('git', ['git was not found. Install it on the host.']), rollback: false };
  const kinds = [{ ...status('compose'), uses: ['docker compose 2.29.7', 'git 2.39.5'] }, lacking, status('own')];
  const rows = (html: string) => html.split('<li').slice(1);

  it('are told with what they use, lack and can', () => {
    const [compose = '', git = '', missing = '', own = ''] = rows(shown(KindsPanel, { kinds }));
    expect(compose).toContain('Uses docker compose 2.29.7, git 2.39.5');
    expect(compose).toContain('Can roll back');
    expect(compose).toContain('>ready<');
    expect(git).toContain('>not ready<');
    expect(git).toContain('Cannot roll back');
    expect(git).not.toContain('Needs nothing');
    expect(missing).toContain('git was not found. Install it on the host.');
    expect(own).toContain('>own<');
    expect(own).toContain('Needs nothing but the container engine');
  });
});
