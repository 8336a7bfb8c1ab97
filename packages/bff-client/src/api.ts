import { type BffClient, type BffClientOptions, createBffClient } from "./client.js";
import { errorOf } from "./problem.js";
import { type QueryValue, setQuery } from "./query.js";

/** The options of a call with {@link apiClient}. */
export interface ApiOptions {
  /** The query of the URL. The client leaves `undefined` and `null` out. */
  params?: Record<string, QueryValue> | undefined;
  headers?: HeadersInit | undefined;
  signal?: AbortSignal | undefined;
}

let shared: BffClient | undefined;
let settings: BffClientOptions = {};

/** Sets options of the client that {@link apiClient} and {@link fetchWithAuth} share, and returns that client. */
export function configure(options: BffClientOptions): BffClient {
  const isNew = Object.entries(options).some(([name, value]) => settings[name as keyof BffClientOptions] !== value);
  if (!shared || isNew) shared = createBffClient((settings = { ...settings, ...options }));
  return shared;
}

/** Names the server: `/api` (the default), or an absolute URL such as `https://bff.example.com/api`. */
export function setBaseUrl(url: string): void {
  configure({ baseUrl: url });
}

/** Calls an API below the base URL with the session, and resolves with any answer. `/api/x` and `/x` are the same. */
export async function fetchWithAuth(input: string, init?: RequestInit): Promise<Response> {
  const client = configure({});
  return client.fetch(client.apiUrl(input), init);
}

async function send<T>(method: string, path: string, body: unknown, options: ApiOptions = {}): Promise<T> {
  const client = configure({});
  const url = client.apiUrl(path);
  setQuery(url.searchParams, options.params ?? {});
  const headers = new Headers(options.headers);
  const setDefault = (name: string) => headers.has(name) || headers.set(name, "application/json");
  setDefault("Accept");
  const init: RequestInit = { method, headers, signal: options.signal ?? null };
  // The browser names the content type of these by itself.
  if (body instanceof FormData || body instanceof Blob || body instanceof URLSearchParams) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    setDefault("Content-Type");
  }
  const response = await client.fetch(url, init);
  if (!response.ok) throw await errorOf(response);
  const text = await response.text();
  const isJson = /[/+]json\b/.test(response.headers.get("Content-Type") ?? "");
  return (isJson && text ? JSON.parse(text) : text || undefined) as T;
}

const withoutBody =
  (method: string) =>
  <T>(path: string, options?: ApiOptions): Promise<T> =>
    send(method, path, undefined, options);
const withBody =
  (method: string) =>
  <T>(path: string, body?: unknown, options?: ApiOptions): Promise<T> =>
    send(method, path, body, options);

/** Calls APIs with JSON. An answer that is an error rejects with an `ApiError`. */
export const apiClient = {
  get: withoutBody("GET"),
  delete: withoutBody("DELETE"),
  post: withBody("POST"),
  put: withBody("PUT"),
  patch: withBody("PATCH"),
};
