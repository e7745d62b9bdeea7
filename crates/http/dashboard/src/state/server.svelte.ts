import { Client } from '../api/client';
import { isAbort, toFailure, type Failure } from '../api/error';
import { socketAddress } from '../api/base';
import type { System } from '../api/schema';
import { Repeater } from '../lib/repeater';
import { takeToken, TokenKeeper } from '../lib/token';

type SignIn = 'unknown' | 'in' | 'out' | 'expired';

const SYSTEM_EVERY_MS = 15_000;

function tabStorage(): Storage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

/** The server as this page knows it: who we are to it, whether it answers, and what it says of itself. */
class Server {
  signIn = $state<SignIn>('unknown');
  system = $state.raw<System | null>(null);
  failure = $state.raw<Failure | null>(null);
  /** When it last answered. */
  answeredAt = $state(Date.now());

  private readonly keeper = new TokenKeeper(tabStorage());
  hasToken = $state(this.keeper.get() !== null);
  readonly client = new Client(
    () => this.keeper.get(),
    () => this.refused(),
  );
  private readonly repeater = new Repeater((signal) => this.look(signal), SYSTEM_EVERY_MS);

  readonly kinds = $derived(this.system?.kinds ?? []);
  readonly engineDown = $derived(this.system !== null && !this.system.engine.available);
  readonly unreachable = $derived(this.failure?.kind === 'unreachable');
  readonly isAdmin = $derived(this.system?.identity.role === 'admin');

  /** Takes the token out of the address bar and begins to talk to the server. */
  open(): void {
    const { token, href } = takeToken(location.href);
    if (token !== null) {
      this.keep(token);
      history.replaceState(history.state, '', href);
    }
    this.repeater.start();
  }

  enter(token: string): void {
    this.keep(token);
    this.signIn = 'unknown';
    this.repeater.start();
  }

  leave(): void {
    this.forgetAll('out');
  }

  retry(): void {
    this.repeater.now();
  }

  async ticketed(path: string): Promise<URL> {
    const { ticket } = await this.client.post('/api/tickets', { body: { path } });
    const url = socketAddress(path);
    url.searchParams.set('ticket', ticket);
    return url;
  }

  private refused(): void {
    this.forgetAll(this.hasToken ? 'expired' : 'out');
  }

  private keep(token: string): void {
    this.keeper.keep(token);
    this.hasToken = true;
  }

  private forgetAll(signIn: SignIn): void {
    this.keeper.forget();
    this.hasToken = false;
    this.repeater.stop();
    this.system = null;
    this.failure = null;
    this.signIn = signIn;
  }

  private async look(signal: AbortSignal): Promise<void> {
    try {
      this.system = await this.client.get('/api/system', { signal });
      this.answeredAt = Date.now();
      this.failure = null;
      this.signIn = 'in';
    } catch (error) {
      if (!isAbort(error)) {
        this.failed(toFailure(error));
      }
      throw error;
    }
  }

  private failed(failure: Failure): void {
    if (failure.kind !== 'unauthenticated') {
      this.failure = failure;
    }
  }
}

export const server = new Server();
