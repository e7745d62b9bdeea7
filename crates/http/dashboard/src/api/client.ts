import { address } from './base';
import { ApiError, failureOf, isAbort } from './error';
import type { paths } from './schema';

type Method = 'get' | 'post' | 'put' | 'delete';
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;

/** The paths that know a method. */
export type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];

type PathOf<O> = O extends { parameters: { path: infer T } } ? { path: T } : { path?: undefined };
type QueryOf<O> = O extends { parameters: { query?: infer T } } ? { query?: T } : { query?: undefined };
type Json<B> = { content: { 'application/json': B } };
type BodyOf<O> = O extends { requestBody: Json<infer B> }
  ? { body: B }
  : O extends { requestBody?: Json<infer B> }
    ? { body?: B }
    : { body?: undefined };
type Success<R> = R extends { 200: infer A } ? A : R extends { 201: infer A } ? A : R extends { 202: infer A } ? A : never;

/** What an operation answers when it succeeds. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? (Success<R> extends Json<infer B> ? B : undefined) : never;

/** What an operation takes, by the description of the API. */
export type Request<P extends keyof paths, M extends Method> = PathOf<Operation<P, M>> &
  QueryOf<Operation<P, M>> &
  BodyOf<Operation<P, M>> & { headers?: Record<string, string>; signal?: AbortSignal };

interface Loose {
  path?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The server takes 30 seconds at most; what takes longer is lost on the way. */
const TIMEOUT_MS = 35_000;

/** Fills a path's parameters in and appends its query; what is not given is left out. */
export function target(path: string, request: Pick<Loose, 'path' | 'query'>): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(request.path?.[name] ?? ''));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined && value !== null) {
      query.set(name, String(value));
    }
  }
  return query.size > 0 ? `${filled}?${query}` : filled;
}

/** Requests to the API, typed by its description. */
export class Client {
  /** `token` is asked anew for each request; `refused` is told when the server does not know who asks. */
  constructor(
    private readonly token: () => string | null,
    private readonly refused: () => void,
  ) {}

  get<P extends PathsWith<'get'>>(path: P, request: Request<P, 'get'>): Promise<Answer<P, 'get'>> {
    return this.json('GET', path, request as Loose);
  }

  post<P extends PathsWith<'post'>>(path: P, request: Request<P, 'post'>): Promise<Answer<P, 'post'>> {
    return this.json('POST', path, request as Loose);
  }

  put<P extends PathsWith<'put'>>(path: P, request: Request<P, 'put'>): Promise<Answer<P, 'put'>> {
    return this.json('PUT', path, request as Loose);
  }

  delete<P extends PathsWith<'delete'>>(path: P, request: Request<P, 'delete'>): Promise<Answer<P, 'delete'>> {
    return this.json('DELETE', path, request as Loose);
  }

  /** The body of a success as it comes, for streams. */
  async stream(path: PathsWith<'get'>, request: Loose): Promise<ReadableStream<Uint8Array>> {
    const response = await this.send('GET', path, { ...request, headers: { accept: 'text/event-stream' } });
    if (response.body === null) {
      throw new ApiError({ kind: 'unexpected', status: response.status });
    }
    return response.body;
  }

  private async json<T>(method: string, path: string, request: Loose): Promise<T> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    const response = await this.send(method, path, { ...request, signal });
    if (response.status === 204) {
      return undefined as T;
    }
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw request.signal?.aborted ? error : new ApiError({ kind: 'unexpected', status: response.status });
    }
  }

  private async send(method: string, path: string, request: Loose): Promise<Response> {
    const headers = new Headers(request.headers);
    const token = this.token();
    if (token !== null) {
      headers.set('authorization', `Bearer ${token}`);
    }
    if (request.body !== undefined) {
      headers.set('content-type', 'application/json');
    }
    const response = await reach(address(target(path, request)), {
      method,
      headers,
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal: request.signal ?? null,
      cache: 'no-store',
    });
    if (response.ok) {
      return response;
    }
    const failure = failureOf(response.status, await response.json().catch(() => null));
    if (failure.kind === 'unauthenticated' && token === this.token()) {
      this.refused();
    }
    throw new ApiError(failure);
  }
}

async function reach(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw isAbort(error) ? error : new ApiError({ kind: 'unreachable' });
  }
}

/** A key under which a repeat of the same request does nothing more. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
