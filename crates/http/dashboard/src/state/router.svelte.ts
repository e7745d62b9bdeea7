import { parseRoute } from '../lib/route';

class Router {
  hash = $state(location.hash);
  readonly route = $derived(parseRoute(this.hash));

  listen(): void {
    addEventListener('hashchange', () => (this.hash = location.hash));
  }

  go(path: string): void {
    location.hash = path;
  }
}

export const router = new Router();
