import { Formatter, type Locale } from '../lib/format';
import { en, type Dictionary } from './en';
import { LOCALES, preferred } from './preferred';
import { ru } from './ru';

export const DICTIONARIES: Record<Locale, Dictionary> = { en, ru };

const KEY = 'shipslog.language';

function remembered(): Locale | null {
  try {
    const stored = localStorage.getItem(KEY);
    return LOCALES.find((locale) => locale === stored) ?? null;
  } catch {
    return null; // A browser may forbid storage; then the choice lasts as long as the page.
  }
}

class I18n {
  locale = $state<Locale>(remembered() ?? preferred(navigator.languages));
  readonly t = $derived(DICTIONARIES[this.locale]);
  readonly f = $derived(new Formatter(this.locale, this.t.units));

  choose(locale: Locale): void {
    this.locale = locale;
    try {
      localStorage.setItem(KEY, locale);
    } catch {
      // As above.
    }
  }
}

export const i18n = new I18n();
