import type { Locale } from './format';

const DAY_S = 86_400;

/** Steps of an axis of bytes: powers of two, so that labels are whole KiB and MiB. */
export const BYTE_STEPS: number[] = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** Labels of an axis of time: the time of day, and the day where a new one begins. */
export class TimeLabels {
  private readonly time: Intl.DateTimeFormat;
  private readonly precise: Intl.DateTimeFormat;
  private readonly day: Intl.DateTimeFormat;

  constructor(locale: Locale, timeZone?: string) {
    const zone = { hourCycle: 'h23', timeZone } as const;
    this.time = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', ...zone });
    this.precise = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', ...zone });
    this.day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', timeZone });
  }

  of(splits: readonly number[], stepS: number): string[] {
    let last = '';
    return splits.map((split) => {
      const day = this.day.format(split * 1000);
      const isNew = last !== '' && day !== last;
      last = day;
      return isNew || stepS >= DAY_S ? day : (stepS < 60 ? this.precise : this.time).format(split * 1000);
    });
  }
}
