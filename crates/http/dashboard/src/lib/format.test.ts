import { describe, expect, it } from 'vitest';
import { en } from '../i18n/en';
import { ru } from '../i18n/ru';
import { durationParts, Formatter, MIB, scale, UNKNOWN } from './format';

const english = new Formatter('en', en.units);
const russian = new Formatter('ru', ru.units);
/** Formats use several kinds of spaces that do not break. */
const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');

describe('what is not known', () => {
  it('is never shown as 0', () => {
    for (const shown of [english.percent(null), english.bytes(undefined), english.rate(null), english.duration(null), english.count(null), english.mebibytes(null)]) {
      expect(shown).toBe(UNKNOWN);
    }
  });
});

describe('sizes', () => {
  it('are in the largest unit in which they are at least 1', () => {
    expect(scale(1023)).toEqual({ value: 1023, unit: 'B' });
    expect(scale(1024)).toEqual({ value: 1, unit: 'KiB' });
    expect(english.bytes(1536)).toBe('1.50 KiB');
    expect(english.bytes(64 * MIB)).toBe('64 MiB');
  });

  it('are written as the language does', () => {
    expect(plain(russian.bytes(1536))).toBe('1,50 КиБ');
    expect(plain(russian.rate(2 * MIB))).toBe('2 МиБ/с');
  });

  it('of memory stay in MiB, so that they can be compared', () => {
    expect(english.mebibytes(2048 * MIB)).toBe('2,048 MiB');
    expect(english.mebibytes(MIB / 2)).toBe('0.50 MiB');
  });
});

describe('processor use', () => {
  it('counts 100 for a core and may be more', () => {
    expect(english.percent(250)).toBe('250%');
    expect(english.percent(0.123)).toBe('0.12%');
    expect(plain(russian.percent(12.34))).toBe('12,3 %');
  });
});

describe('durations', () => {
  it('have their two largest parts', () => {
    expect(durationParts(93_784)).toEqual([['day', 1], ['hour', 2]]);
    expect(durationParts(86_400)).toEqual([['day', 1]]);
    expect(durationParts(0)).toEqual([['second', 0]]);
    expect(durationParts(-5)).toEqual([['second', 0]]);
  });

  it('have a digit after the point where they are short', () => {
    expect(english.duration(2.44)).toBe('2.4s');
    expect(plain(russian.duration(3_700))).toBe('1 ч 1 мин');
  });
});

describe('how long ago', () => {
  it('is in the largest unit that fits', () => {
    const now = 1_000_000_000;
    expect(english.ago(now - 125_000, now)).toBe('2 minutes ago');
    expect(russian.ago(now - 5_000, now)).toBe('5 секунд назад');
    expect(english.ago(now - 3 * 86_400_000, now)).toBe('3 days ago');
  });
});
