/**
 * Where the server is mounted. Built scripts lie in `<mount>/assets/`, so their own address says it, whatever the path in
 * the address bar looks like.
 */
function mount(): URL {
  return import.meta.env.DEV ? new URL('/', location.href) : new URL(/* @vite-ignore */ '../', import.meta.url);
}

export function address(path: string): URL {
  return new URL(path.replace(/^\//, ''), mount());
}

export function socketAddress(path: string): URL {
  const url = address(path);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
