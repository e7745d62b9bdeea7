/** Numbers, sizes and times as people of a language write them. `null` is "not known" and never 0. */

export type Locale = 'en' | 'ru';

/** Shown for what is not known. */
export const UNKNOWN = '–';

type Unit = 'B' | 'KiB' | 'MiB' | 'GiB' | 'TiB';

export interface UnitNames {
  bytes: Record<Unit, string>;
  perSecond: (amount: string) => string;
}

const UNITS: Unit[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
export const MIB = 1_048_576;

type Known = number | null | undefined;

function digits(value: number): number {
  if (value >= 100 || value === 0) {
    return 0;
  }
  return value >= 10 ? 1 : 2;
}

/** The largest unit in which an amount is at least 1. */
export function scale(bytes: number): { value: number; unit: Unit } {
  let index = 0;
  let value = bytes;
  while (value >= 1024 && index < UNITS.length - 1) {
    value /= 1024;
    index += 1;
  }
  return { value, unit: UNITS[index] as Unit };
}

const DURATION_UNITS = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

type DurationUnit = (typeof DURATION_UNITS)[number][0];

/** The two largest parts of a duration, such as 3 days and 4 hours. */
export function durationParts(seconds: number): [DurationUnit, number][] {
  let rest = Math.max(0, Math.floor(seconds));
  const parts: [DurationUnit, number][] = [];
  for (const [unit, length] of DURATION_UNITS) {
    const amount = Math.floor(rest / length);
    rest -= amount * length;
    if (amount > 0 || parts.length > 0) {
      parts.push([unit, amount]);
    }
  }
  const two = parts.slice(0, 2).filter(([, amount]) => amount > 0);
  return two.length > 0 ? two : [['second', 0]];
}

export class Formatter {
  private readonly numbers = new Map<string, Intl.NumberFormat>();
  private readonly absolute: Intl.DateTimeFormat;
  private readonly precise: Intl.DateTimeFormat;
  private readonly relatives: Intl.RelativeTimeFormat;

  constructor(
    readonly locale: Locale,
    private readonly units: UnitNames,
  ) {
    const zone = { hourCycle: 'h23' } as const;
    this.absolute = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', ...zone });
    this.precise = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium', ...zone });
    this.relatives = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  }

  private number(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
    let format = this.numbers.get(key);
    if (format === undefined) {
      format = new Intl.NumberFormat(this.locale, options);
      this.numbers.set(key, format);
    }
    return format;
  }

  count(value: Known): string {
    return value == null ? UNKNOWN : this.number('count', { maximumFractionDigits: 0 }).format(value);
  }

  decimal(value: Known, fraction = 2): string {
    return value == null ? UNKNOWN : this.number(`d${fraction}`, { maximumFractionDigits: fraction }).format(value);
  }

  /** Always as many digits after the point, so that columns stay in line; whole numbers have none. */
  private amount(value: number): string {
    const fraction = Number.isInteger(value) ? 0 : digits(value);
    const options = { minimumFractionDigits: fraction, maximumFractionDigits: fraction };
    return this.number(`a${fraction}`, options).format(value);
  }

  /** `100` is one fully used core. */
  percent(value: Known): string {
    if (value == null) {
      return UNKNOWN;
    }
    const fraction = value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return this.number(`p${fraction}`, {
      style: 'percent',
      minimumFractionDigits: fraction,
      maximumFractionDigits: fraction,
    }).format(value / 100);
  }

  /** For axes, with no more digits than it takes. */
  percentShort(value: number): string {
    return this.number('ps', { style: 'percent', maximumFractionDigits: 2 }).format(value / 100);
  }

  bytes(value: Known): string {
    if (value == null) {
      return UNKNOWN;
    }
    const { value: amount, unit } = scale(value);
    return `${unit === 'B' ? this.count(amount) : this.amount(amount)} ${this.units.bytes[unit]}`;
  }

  mebibytes(value: Known): string {
    if (value == null) {
      return UNKNOWN;
    }
    const amount = value / MIB;
    return `${this.amount(amount)} ${this.units.bytes.MiB}`;
  }

  rate(value: Known): string {
    return value == null ? UNKNOWN : this.units.perSecond(this.bytes(value));
  }

  duration(seconds: Known): string {
    if (seconds == null) {
      return UNKNOWN;
    }
    if (seconds > 0 && seconds < 10) {
      return this.number('s1', unitOptions('second', 1)).format(seconds);
    }
    const parts = durationParts(seconds);
    return parts.map(([unit, amount]) => this.number(unit, unitOptions(unit, 0)).format(amount)).join(' ');
  }

  /** Such as "5 minutes ago". */
  ago(then: number, now: number): string {
    const seconds = Math.round((then - now) / 1000);
    for (const [unit, length] of DURATION_UNITS) {
      if (Math.abs(seconds) >= length && unit !== 'second') {
        return this.relatives.format(Math.trunc(seconds / length), unit);
      }
    }
    return this.relatives.format(Math.trunc(seconds), 'second');
  }

  dateTime(milliseconds: number): string {
    return this.absolute.format(milliseconds);
  }

  dateTimeExact(milliseconds: number): string {
    return this.precise.format(milliseconds);
  }
}

function unitOptions(unit: DurationUnit, fraction: number): Intl.NumberFormatOptions {
  return { style: 'unit', unit, unitDisplay: 'narrow', maximumFractionDigits: fraction };
}
