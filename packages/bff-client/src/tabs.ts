import type { EndReason, SessionEvent } from "./session.js";

/** The parts of a browser that it may lack. */
const browser: { BroadcastChannel?: typeof BroadcastChannel; navigator?: { locks?: LockManager } } = globalThis;

/** A message between the tabs of a browser. It holds no token and nothing about the person. */
export interface TabMessage {
  event?: SessionEvent;
  /** The id of the last message of the stream, with which the next leader goes on. */
  id?: string | undefined;
  /** A tab has found a session, which the others may not know yet. */
  login?: true;
}

/** The message about an end that the server has told this tab. */
export function endOf(reason: EndReason): TabMessage {
  return { event: { type: "session-ended", reason }, id: "" };
}

/** The connection to the other tabs. */
export interface Tabs {
  tell: (message: TabMessage) => void;
  close: () => void;
}

/** Connects the tabs that know the same server. Without BroadcastChannel each tab is on its own. */
export function openTabs(name: string, hear: (message: TabMessage) => void): Tabs {
  const channel = browser.BroadcastChannel && new BroadcastChannel(name);
  if (channel) channel.onmessage = ({ data }) => hear((data as TabMessage | null) ?? {});
  return {
    tell: (message) => channel?.postMessage(message),
    close: () => channel?.close(),
  };
}

/**
 * Runs `work` in one tab of the browser at a time, until the returned function is called. The browser hands the lock to
 * another tab when this one closes or crashes. Without locks (or a channel to tell the others), every tab works.
 */
export function lead(name: string, work: (signal: AbortSignal) => Promise<void>): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const run = () => work(signal);
  const locks = browser.BroadcastChannel && browser.navigator?.locks;
  // A browser refuses locks to a document with an opaque origin.
  if (locks) void locks.request(name, { signal }, run).catch(run);
  else void run();
  return () => stop.abort();
}
