import type { Locale } from '../lib/format';

/** The languages by their own names. */
export const LOCALE_NAMES: Record<Locale, string> = { en: 'English', ru: 'Русский' };

export const LOCALES: Locale[] = ['en', 'ru'];

/** The first language of the browser that there is a dictionary of. */
export function preferred(languages: readonly string[]): Locale {
  const bases = languages.map((language) => language.toLowerCase().split('-')[0]);
  for (const base of bases) {
    const known = LOCALES.find((locale) => locale === base);
    if (known !== undefined) {
      return known;
    }
  }
  return 'en';
}
