import type { Problem } from './schema';

/** What kept a request from being answered as asked. */
export type Failure =
  /** Nothing that speaks for the server answered. */
  | { kind: 'unreachable' }
  /** The server does not know who asks, or not any more. */
  | { kind: 'unauthenticated' }
  /** The server said what is wrong. */
  | { kind: 'problem'; problem: Problem }
  /** Something answered, but not as this API does. */
  | { kind: 'unexpected'; status: number };

export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(readonly failure: Failure) {
    super(failure.kind);
  }

  get status(): number | null {
    switch (this.failure.kind) {
      case 'problem':
        return this.failure.problem.status;
      case 'unauthenticated':
        return 401;
      case 'unexpected':
        return this.failure.status;
      case 'unreachable':
        return null;
    }
  }
}

const GATEWAY = new Set([502, 503, 504]);

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'status' in body && 'detail' in body && 'title' in body;
}

/** What an answer other than a success means. A proxy that finds no server behind it counts as no server. */
export function failureOf(status: number, body: unknown): Failure {
  if (status === 401) {
    return { kind: 'unauthenticated' };
  }
  if (isProblem(body)) {
    return { kind: 'problem', problem: body };
  }
  return GATEWAY.has(status) ? { kind: 'unreachable' } : { kind: 'unexpected', status };
}

/** Whether a request was given up by the page itself. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Errors of this client as they are; whatever else went wrong has nothing to show to people. */
export function toFailure(error: unknown): Failure {
  return error instanceof ApiError ? error.failure : { kind: 'unexpected', status: 0 };
}
