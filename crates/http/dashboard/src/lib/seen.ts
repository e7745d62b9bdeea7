/** Tells elements whether they are in sight, all of them with one observer. */
type Listener = (seen: boolean) => void;

const listeners = new WeakMap<Element, Listener>();
let observer: IntersectionObserver | null = null;

function shared(): IntersectionObserver {
  observer ??= new IntersectionObserver(
    (entries) => entries.forEach((entry) => listeners.get(entry.target)?.(entry.isIntersecting)),
    { rootMargin: '200px 0px' },
  );
  return observer;
}

/** An attachment that calls `listener` whenever its element comes into sight or goes out of it. */
export function seen(listener: Listener): (element: Element) => () => void {
  return (element) => {
    listeners.set(element, listener);
    shared().observe(element);
    return () => {
      shared().unobserve(element);
      listeners.delete(element);
    };
  };
}
