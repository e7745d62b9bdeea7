/** `https://host/path.git#revision:path`, taken apart. What is empty is left to the source kind. */
export interface GitReference {
  url: string;
  /** A branch, tag or commit. */
  revision: string;
  /** What is meant inside the repository: a folder or a file. */
  path: string;
}

/** Takes a reference apart. A revision has no colon, so the first one ends it. */
export function gitReference(text: string): GitReference {
  const [url = '', fragment = ''] = split(text.trim(), '#');
  const [revision = '', path = ''] = split(fragment, ':');
  return { url, revision, path };
}

/** The reference of its parts. */
export function gitText({ url, revision, path }: GitReference): string {
  const fragment = path.trim() === '' ? revision.trim() : `${revision.trim()}:${path.trim()}`;
  return fragment === '' ? url.trim() : `${url.trim()}#${fragment}`;
}

function split(text: string, by: string): [string, string] {
  const at = text.indexOf(by);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + by.length)];
}
