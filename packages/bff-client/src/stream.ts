import type { EndReason } from "./session.js";
import { wait } from "./wait.js";

/** A message of a stream of server-sent events (WHATWG HTML section 9.2), as its fields. */
export interface Message {
  id?: string;
  event?: string;
  data?: string;
}

/** A stream without a sign of life for so long is dead, in seconds. The server sends one every 25 seconds. */
const SILENCE = 75;

/** The pause before the stream is opened again after its end, in seconds. */
const COME_AGAIN = 3;

/** The same if the server has refused the stream. */
const REFUSED = 15;

/** The same while the reason of an end is looked for. */
const SEARCH = 5;

/**
 * Follows the stream at `url`, over and over, until `signal` is aborted.
 *
 * @param lastId The id of the last message, which the server takes to tell what was missed.
 * @param onUnauthenticated The server knows of no session.
 */
export async function follow(
  url: URL,
  signal: AbortSignal,
  lastId: () => string,
  hear: (message: Message) => void,
  onUnauthenticated: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    let pause = COME_AGAIN;
    try {
      const refusal = await connect(url, signal, lastId(), hear);
      if (refusal?.status === 401) await onUnauthenticated();
      if (refusal) pause = Math.max(Number(refusal.headers.get("Retry-After")) || 0, REFUSED);
    } catch {
      // The connection broke.
    }
    await wait(pause, signal).catch(() => undefined);
  }
}

/** Asks the server why the session has ended whose last message had `lastId`. */
export async function whyEnded(url: URL, lastId: string): Promise<EndReason> {
  let reason: EndReason = "unknown";
  if (lastId) {
    const stop = new AbortController();
    const hear = ({ event, data }: Message) => {
      if (event === "session-ended") ({ reason } = JSON.parse(data ?? "{}") as { reason: EndReason });
      stop.abort();
    };
    await connect(url, stop.signal, lastId, hear, SEARCH).catch(() => undefined);
  }
  return reason;
}

/** Reads the stream until it ends. Returns an answer that is no stream. */
async function connect(
  url: URL,
  signal: AbortSignal,
  lastId: string,
  hear: (message: Message) => void,
  patience = SILENCE,
): Promise<Response | undefined> {
  const connection = new AbortController();
  const cut = () => connection.abort();
  let silence: ReturnType<typeof setTimeout> | undefined;
  const onLife = () => {
    clearTimeout(silence);
    silence = setTimeout(cut, patience * 1000);
  };
  try {
    onLife();
    const response = await fetch(url, {
      headers: lastId ? { "Last-Event-ID": lastId } : {},
      credentials: "include",
      cache: "no-store",
      signal: AbortSignal.any([signal, connection.signal]),
    });
    if (!response.ok) return response;
    const reader = (response.body as ReadableStream<BufferSource>).pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      onLife();
      const blocks = (text + value).split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks) hear(parse(block));
    }
  } finally {
    clearTimeout(silence);
    cut();
  }
}

/** The fields of a message. The server writes each in one line. */
function parse(block: string): Message {
  return Object.fromEntries(Array.from(block.matchAll(/^(\w+): ?(.*?)\r?$/gm), (field) => field.slice(1))) as Message;
}
