/** A page, as the part of the address after `#` names it. */
export type Route =
  | { page: 'apps' }
  | { page: 'new' }
  | { page: 'app'; id: string; deploy: string | null }
  | { page: 'edit'; id: string }
  | { page: 'system' }
  | { page: 'unknown' };

export function parseRoute(hash: string): Route {
  const parts = hash.replace(/^#?\/?/, '').split('/').filter((part) => part !== '').map(decode);
  const [first, id, what, deploy, ...more] = parts;
  if (parts.includes(null) || more.length > 0) {
    return { page: 'unknown' };
  }
  if (first === 'apps' && id) {
    return app(id, what ?? undefined, deploy ?? undefined);
  }
  if (parts.length > 1) {
    return { page: 'unknown' };
  }
  return top(first ?? '');
}

function top(name: string): Route {
  switch (name) {
    case '':
    case 'apps':
      return { page: 'apps' };
    case 'new':
      return { page: 'new' };
    case 'system':
      return { page: 'system' };
    default:
      return { page: 'unknown' };
  }
}

function app(id: string, what: string | undefined, deploy: string | undefined): Route {
  if (what === undefined) {
    return { page: 'app', id, deploy: null };
  }
  if (what === 'edit' && deploy === undefined) {
    return { page: 'edit', id };
  }
  if (what === 'deploys' && deploy !== undefined) {
    return { page: 'app', id, deploy };
  }
  return { page: 'unknown' };
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

export const paths = {
  apps: '#/',
  create: '#/new',
  system: '#/system',
  app: (id: string) => `#/apps/${encodeURIComponent(id)}`,
  edit: (id: string) => `#/apps/${encodeURIComponent(id)}/edit`,
  deploy: (id: string, deploy: string) => `#/apps/${encodeURIComponent(id)}/deploys/${encodeURIComponent(deploy)}`,
};
