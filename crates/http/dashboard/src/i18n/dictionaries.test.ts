import { describe, expect, it } from 'vitest';
import { en } from './en';
import { preferred } from './preferred';
import { pluralizer } from './plural';
import { ru } from './ru';
import { inRussian } from './said';

/** Every key with the way to it, such as `apps.columns.name`. */
function keys(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) {
    return [path];
  }
  return Object.entries(value).flatMap(([key, inner]) => keys(inner, path === '' ? key : `${path}.${key}`));
}

function texts(value: unknown, path = ''): [string, string][] {
  if (typeof value === 'string') {
    return [[path, value]];
  }
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([key, inner]) => texts(inner, `${path}.${key}`));
}

describe('dictionaries', () => {
  it('have the same keys', () => {
    expect(keys(ru).sort()).toEqual(keys(en).sort());
  });

  it('leave nothing empty', () => {
    for (const [path, text] of [...texts(en), ...texts(ru)]) {
      expect(text.trim(), path).not.toBe('');
    }
  });

  it('say everything in Russian that is a sentence', () => {
    const untranslated = texts(ru).filter(([path, text]) => {
      const same = texts(en).find(([other]) => other === path)?.[1] === text;
      return same && /[a-z]{3,} [a-z]{2,}/i.test(text);
    });
    expect(untranslated).toEqual([]);
  });
});

describe('plural forms', () => {
  it('follow Russian numbers', () => {
    const said = [1, 2, 5, 11, 21, 104].map((n) => ru.apps.containers(n));
    expect(said).toEqual(['1 контейнер', '2 контейнера', '5 контейнеров', '11 контейнеров', '21 контейнер', '104 контейнера']);
  });

  it('group the digits of large numbers', () => {
    expect(pluralizer('en')(1234, { one: 'app', other: 'apps' })).toBe('1,234 apps');
  });
});

describe('the language of the browser', () => {
  it('is the first one that there is a dictionary of', () => {
    expect(preferred(['de-DE', 'ru-RU', 'en'])).toBe('ru');
    expect(preferred(['de-DE'])).toBe('en');
    expect(preferred([])).toBe('en');
  });
});

describe('the sentences of the server', () => {
  it('are said in Russian where they are known', () => {
    expect(inRussian('must be 1 to 65535.')).toBe('должно быть от 1 до 65535.');
    expect(inRussian('no socket at /var/run/docker.sock')).toBe('нет сокета /var/run/docker.sock');
    expect(inRussian('Another managed workload has this name.')).toBe('Другое управляемое приложение уже носит это имя.');
  });

  it('are said with the place in a Compose file that they are about', () => {
    expect(inRussian('services.web.volumes[0] is relative, and a file that is given inline is in no folder.')).toMatch(/^services\.web\.volumes\[0\]: относительный путь.*\.$/);
    expect(inRussian('line 3 is not valid YAML.')).toBe('строка 3: не является допустимым YAML.');
    expect(inRussian('services.web.image has a $ that begins no variable: write $$ for a dollar that means itself.')).toContain('пишется как $$.');
    expect(inRussian('services.web is something new.')).toBeNull();
  });

  it('stay as they are where they are not', () => {
    expect(inRussian('something new')).toBeNull();
  });
});
