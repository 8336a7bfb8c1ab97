import { afterEach, beforeEach, vi } from "vitest";

import { type BffClient, type BffClientOptions, createBffClient } from "../src/index.js";

/** The origin of the page, as vitest.config.ts sets it. */
export const ORIGIN = "https://app.example.com";

/** A request that the fake server has received. */
export interface Received {
  method: string;
  url: URL;
  headers: Headers;
  /** The body, if it is a form or text. */
  body: string | undefined;
  init: RequestInit;
}

type Handler = (request: Received) => Response | Promise<Response>;

/** The server as a page sees it. Each test changes what it answers. */
export class FakeServer {
  readonly received: Received[] = [];
  session: Record<string, unknown> = { authenticated: false };
  /** The open event streams. */
  readonly streams: FakeStream[] = [];
  private readonly handlers = new Map<string, Handler>();

  constructor() {
    this.on("/auth/session", () => Response.json(this.session));
    this.on("/auth/events", ({ headers, init }) => {
      if (!this.session["authenticated"]) return problem(401, "unauthenticated");
      const stream = new FakeStream(headers.get("Last-Event-ID"), init.signal as AbortSignal);
      this.streams.push(stream);
      return stream.response;
    });
    vi.stubGlobal("fetch", (input: URL | string, init: RequestInit = {}) => this.answer(new URL(input), init));
  }

  /** Sets the answer at a path. */
  on(path: string, handler: Handler): void {
    this.handlers.set(path, handler);
  }

  /** Answers with each of these once, then with the last one. */
  answers(path: string, ...answers: (() => Response)[]): void {
    let next = 0;
    this.on(path, () => (answers[Math.min(next++, answers.length - 1)] as () => Response)());
  }

  logIn(sub = "u-ada", more: Record<string, unknown> = {}): void {
    this.session = {
      authenticated: true,
      user: { sub, name: "Ada Lovelace" },
      expires_at: "2026-11-23T07:00:00Z",
      token_expires_at: "2026-11-23T06:05:00Z",
      refreshed_at: "2026-11-23T06:00:00Z",
      csrf_token: `csrf-of-${sub}`,
      ...more,
    };
  }

  /** The requests for a path. */
  at(path: string): Received[] {
    return this.received.filter(({ url }) => url.pathname === path);
  }

  private async answer(url: URL, init: RequestInit): Promise<Response> {
    init.signal?.throwIfAborted();
    const { body: sent } = init;
    const body = typeof sent === "string" || sent instanceof URLSearchParams ? sent.toString() : undefined;
    const request = { body, method: init.method ?? "GET", url, headers: new Headers(init.headers), init };
    this.received.push(request);
    return (this.handlers.get(url.pathname) ?? (() => new Response(null, { status: 404 })))(request);
  }
}

/** A stream of server-sent events, from the side of the server. */
export class FakeStream {
  readonly response: Response;
  private controller!: ReadableStreamDefaultController<Uint8Array>;
  isOpen = true;

  constructor(
    readonly lastId: string | null,
    signal: AbortSignal,
  ) {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.controller = controller) });
    this.response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    signal.addEventListener("abort", () => {
      if (this.isOpen) this.controller.error(new DOMException("aborted", "AbortError"));
      this.isOpen = false;
    });
  }

  /** Sends a message, or text as it is. */
  async send(message: { id?: string; event?: string; data?: object } | string): Promise<void> {
    const text =
      typeof message === "string"
        ? message
        : Object.entries(message).reduce(
            (text, [name, value]) => `${text}${name}: ${typeof value === "object" ? JSON.stringify(value) : value}\n`,
            "",
          ) + "\n";
    this.controller.enqueue(new TextEncoder().encode(text));
    await settle();
  }

  async end(): Promise<void> {
    this.isOpen = false;
    this.controller.close();
    await settle();
  }
}

/** Everything that was sent between tabs. */
export const told: unknown[] = [];

const channels = new Set<FakeChannel>();

/** A BroadcastChannel that delivers at once. */
class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) {
    channels.add(this);
  }
  postMessage(data: unknown): void {
    told.push(data);
    for (const other of channels) {
      if (other !== this && other.name === this.name) other.onmessage?.({ data: structuredClone(data) });
    }
  }
  close(): void {
    channels.delete(this);
  }
}

/** A LockManager with exclusive locks. */
class FakeLocks {
  private readonly queues = new Map<string, Promise<unknown>>();
  request(name: string, { signal }: { signal: AbortSignal }, work: () => Promise<unknown>): Promise<unknown> {
    const before = this.queues.get(name);
    const mine = (async () => {
      await before;
      signal.throwIfAborted();
      return work();
    })();
    this.queues.set(
      name,
      mine.catch(() => undefined),
    );
    return mine;
  }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** Lets seconds pass. */
export async function pass(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(seconds * 1000);
}

/** A refusal of the server. */
export function problem(
  status: number,
  code: string,
  more: object = {},
  headers: Record<string, string> = {},
): Response {
  const body = JSON.stringify({ type: "about:blank", title: "A title", status, code, ...more });
  return new Response(body, {
    status,
    headers: { "Content-Type": "application/problem+json", "X-Correlation-ID": "c-1", ...headers },
  });
}

/** Hides or shows the page. */
export async function setHidden(isHidden: boolean): Promise<void> {
  vi.spyOn(document, "hidden", "get").mockReturnValue(isHidden);
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  await settle();
}

const stops: (() => void)[] = [];

/** A tab: a client that has started. */
export async function openTab(options: BffClientOptions = {}): Promise<BffClient & { close(): void }> {
  const client = createBffClient(options);
  const close = client.start();
  stops.push(close);
  await settle();
  // The state stays a getter.
  return Object.defineProperties({ close } as BffClient & { close(): void }, Object.getOwnPropertyDescriptors(client));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  vi.stubGlobal("navigator", { locks: new FakeLocks() });
  told.length = 0;
});

afterEach(async () => {
  for (const stop of stops.splice(0)) stop();
  await settle();
  vi.useRealTimers();
});
