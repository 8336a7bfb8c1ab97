/** A page that is hidden for so long takes no part any more, in milliseconds. */
const HIDDEN = 300_000;

/**
 * Watches the turns in the life of a page until the returned function is called.
 *
 * @param onSeen The page is seen again.
 * @param onRest The page has been hidden for long, or the person leaves it.
 * @param onBack The browser brings the page back as it was left (back button). By now another person can be logged in.
 */
export function watchPage(onSeen: () => void, onRest: () => void, onBack: () => void): () => void {
  const stop = new AbortController();
  let hidden: ReturnType<typeof setTimeout> | undefined;
  const listen = <Name extends keyof WindowEventMap>(name: Name, act: (event: WindowEventMap[Name]) => void) =>
    window.addEventListener(name, act, { signal: stop.signal });
  // It bubbles from the document.
  listen("visibilitychange" as "focus", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(onRest, HIDDEN);
    else onSeen();
  });
  listen("pagehide", onRest);
  listen("pageshow", ({ persisted }) => persisted && onBack());
  return () => {
    clearTimeout(hidden);
    stop.abort();
  };
}
