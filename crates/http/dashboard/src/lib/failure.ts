import type { Failure } from '../api/error';
import type { Dictionary } from '../i18n/en';

/** What a page says of a failure, and whether trying again may help. */
export interface Words {
  title: string;
  text: string;
  /** The server's own words, where they say more. */
  said: string | null;
  retry: boolean;
}

/** Words for a failure, which say what to do next. */
export function describe(failure: Failure, t: Dictionary, notFound?: string): Words {
  const p = t.problems;
  switch (failure.kind) {
    case 'unreachable':
      return { title: p.unreachableTitle, text: p.unreachable, said: null, retry: true };
    case 'unauthenticated':
      return { title: t.signIn.title, text: t.signIn.expired, said: null, retry: true };
    case 'unexpected':
      return { title: p.unexpectedTitle, text: p.unexpected, said: null, retry: true };
    case 'problem':
      return ofProblem(failure.problem.status, failure.problem.detail, t, notFound);
  }
}

function ofProblem(status: number, detail: string, t: Dictionary, notFound?: string): Words {
  const p = t.problems;
  switch (status) {
    case 403:
      return { title: p.forbiddenTitle, text: p.forbidden, said: null, retry: false };
    case 404:
      return { title: p.notFoundTitle, text: notFound ?? p.notFoundPage, said: null, retry: false };
    case 421:
      return { title: p.unexpectedTitle, text: p.misdirected, said: null, retry: true };
    default:
      return { title: p.unexpectedTitle, text: status >= 500 ? p.failed : '', said: detail, retry: true };
  }
}
