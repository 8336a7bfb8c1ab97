/** The addresses of the server, which belong to one origin. */
export interface Addresses {
  /** The origin of the server, for example `https://app.example.com`. */
  origin: () => string;
  /** The URL of an endpoint below `/auth`, the sibling of the base URL. */
  auth: (path: string) => URL;
  /** The URL of a call: a path of the server, or a URL on its origin. Throws a `TypeError` on any other origin. */
  call: (input: string | URL) => URL;
  /** The URL of a call below the base URL. A path that already begins with the base, or with `/api`, is not doubled. */
  api: (path: string) => URL;
}

/** The addresses for a base URL such as `/api` or `https://bff.example.com/api`. */
export function addresses(baseUrl: string): Addresses {
  // The page is asked at each use: there is none where a server renders the application.
  const page: { location?: Location } = globalThis;
  const base = () => new URL(baseUrl.replace(/\/+$/, "") || "/", page.location?.href);
  const call = (input: string | URL) => {
    const { origin } = base();
    const url = new URL(input, origin);
    // Another origin must not receive the CSRF token, and has no session here.
    if (url.origin !== origin) throw new TypeError(`Foreign origin: ${url.origin}`);
    return url;
  };
  return {
    origin: () => base().origin,
    auth: (path) => new URL(`auth/${path}`, base()),
    call,
    api: (path) => {
      if (/^https?:/i.test(path)) return call(path);
      const { pathname } = base();
      const rest = pathname.endsWith("/api") ? path.replace(/^\/api(?=[/?]|$)/, "") : path;
      return call(pathname.replace(/\/$/, "") + rest.replace(/^\/*(?![/?]|$)/, "/"));
    },
  };
}
