import { Backoff } from './backoff';

export type LiveState = 'connecting' | 'live' | 'polling' | 'paused';

/** What a stream of live numbers needs of the world. */
export interface LiveOptions<T> {
  /** The address of the socket, with a fresh ticket. */
  address: () => Promise<URL>;
  /** Asks once for what the socket would send; `null` when there is nothing. */
  poll: () => Promise<T | null>;
  onMessage: (message: T) => void;
  onState: (state: LiveState) => void;
  /** Neither way gets through: what was told last is not how things stand any more. */
  onLost: () => void;
  open?: (url: URL) => WebSocket;
  backoff?: Backoff;
}

export const POLL_MS = 15_000;

/** A socket that says nothing for so long is not there any more. */
const SILENCE_MS = 45_000;

/** Attempts that may fail before numbers are asked for instead. */
const PATIENCE = 2;

/**
 * Live numbers over a WebSocket, opened again whenever it breaks; every 15 seconds by asking while it does not get through.
 * Nothing goes on after [`close`] or [`pause`].
 */
export class LiveStream<T> {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private polls: ReturnType<typeof setInterval> | undefined;
  private failures = 0;
  private attempt = 0;
  private readonly backoff: Backoff;

  constructor(private readonly options: LiveOptions<T>) {
    this.backoff = options.backoff ?? new Backoff();
  }

  start(): void {
    this.stop();
    this.failures = 0;
    this.backoff.reset();
    this.options.onState('connecting');
    void this.connect();
  }

  pause(): void {
    this.stop();
    this.options.onState('paused');
  }

  close(): void {
    this.stop();
  }

  private stop(): void {
    this.attempt += 1;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    this.stopPolling();
    this.drop();
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
  }

  private async connect(): Promise<void> {
    const attempt = this.attempt;
    try {
      const url = await this.options.address();
      if (attempt === this.attempt) {
        this.listen((this.options.open ?? ((target) => new WebSocket(target)))(url));
      }
    } catch {
      if (attempt === this.attempt) {
        this.failed();
      }
    }
  }

  private listen(socket: WebSocket): void {
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string>) => this.received(event.data);
    socket.onclose = () => this.failed();
    this.expectWord();
  }

  private received(text: string): void {
    this.expectWord();
    const message = JSON.parse(text) as T | { missed: number };
    if (typeof message === 'object' && message !== null && 'missed' in message) {
      return; // What was missed is history; the newest follows.
    }
    if (this.failures > 0 || this.polls !== undefined) {
      this.stopPolling();
    }
    this.failures = 0;
    this.backoff.reset();
    this.options.onState('live');
    this.options.onMessage(message as T);
  }

  private expectWord(): void {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.failed(), SILENCE_MS);
  }

  private failed(): void {
    clearTimeout(this.watch);
    this.drop();
    this.failures += 1;
    if (this.failures >= PATIENCE) {
      this.startPolling();
    } else {
      this.options.onState('connecting');
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.connect(), this.backoff.next());
  }

  private startPolling(): void {
    if (this.polls === undefined) {
      this.options.onState('polling');
      this.polls = setInterval(() => void this.ask(), POLL_MS);
      void this.ask();
    }
  }

  private stopPolling(): void {
    clearInterval(this.polls);
    this.polls = undefined;
  }

  private async ask(): Promise<void> {
    const attempt = this.attempt;
    const answer = await this.options.poll().then(
      (message) => ({ message }),
      () => null,
    );
    if (attempt !== this.attempt || this.polls === undefined) {
      return;
    }
    this.options.onState(answer === null ? 'connecting' : 'polling');
    if (answer === null) {
      this.options.onLost();
    } else if (answer.message !== null) {
      this.options.onMessage(answer.message);
    }
  }
}
