/** Where a token is kept for a tab. */
export interface Tab {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

const KEY = 'shipslog.token';

/** An address without the parameter `token`, and that parameter. */
export function takeToken(href: string): { token: string | null; href: string } {
  const url = new URL(href);
  const token = url.searchParams.get('token');
  url.searchParams.delete('token');
  return { token: token?.trim() || null, href: url.href };
}

/** A token that outlives a reload of its tab and nothing else. A browser that forbids storage keeps it for the page alone. */
export class TokenKeeper {
  private token: string | null;

  constructor(private readonly tab: Tab | null) {
    this.token = tab?.getItem(KEY) ?? null;
  }

  get(): string | null {
    return this.token;
  }

  keep(token: string): void {
    this.token = token;
    this.tab?.setItem(KEY, token);
  }

  forget(): void {
    this.token = null;
    this.tab?.removeItem(KEY);
  }
}
