import { Formatter, type Locale } from '../lib/format';
import { en, type Dictionary } from './en';
import { LOCALES, preferred } from './preferred';

const KEY = 'shipslog.language';

/** Only who reads it loads it. English is there for what has to be said before, and where loading fails. */
const LOADERS: Record<Locale, () => Promise<Dictionary>> = {
  en: () => Promise.resolve(en),
  ru: () => import('./ru').then((module) => module.ru),
};

function remembered(): Locale | null {
  try {
    const stored = localStorage.getItem(KEY);
    return LOCALES.find((locale) => locale === stored) ?? null;
  } catch {
    return null; // A browser may forbid storage; then the choice lasts as long as the page.
  }
}

function remember(locale: Locale): void {
  try {
    localStorage.setItem(KEY, locale);
  } catch {
    // As above.
  }
}

class I18n {
  locale = $state<Locale>('en');
  t = $state.raw<Dictionary>(en);
  readonly f = $derived(new Formatter(this.locale, this.t.units));

  /** The language that was chosen before, or else the browser's. */
  start(): Promise<void> {
    return this.use(remembered() ?? preferred(navigator.languages));
  }

  async choose(locale: Locale): Promise<void> {
    await this.use(locale);
    remember(this.locale);
  }

  private async use(locale: Locale): Promise<void> {
    try {
      this.t = await LOADERS[locale]();
      this.locale = locale;
    } catch {
      // The server is away. What is shown stays in the language that it is in.
    }
  }
}

export const i18n = new I18n();
