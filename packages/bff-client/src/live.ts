import type { Account } from "./account.js";
import type { Addresses } from "./address.js";
import { watchPage } from "./page.js";
import type { BffProblem } from "./problem.js";
import type { EndReason, SessionEvent } from "./session.js";
import type { Store } from "./store.js";
import { follow, type Message } from "./stream.js";
import { endOf, lead, openTabs, type TabMessage } from "./tabs.js";

/** The pause before the server is asked again after a failure, in seconds, if it names none. */
const PAUSE = 5;

/** The connection of an open page with the server and with the other tabs. */
export interface Live {
  /** The id of the last message of the stream, which proves that the browser had the session. */
  lastId: () => string;
  /** Tells the other tabs. */
  tell: (message: TabMessage) => void;
  stop: () => void;
}

/** Keeps the state up to date until it is stopped. */
export function startLive(at: Addresses, account: Account, store: Store, pollInterval = 0): Live {
  const name = `bff ${at.origin()}`;
  let isAwake = true;
  let isStopped = false;
  let stopLeading: (() => void) | undefined;
  let lastId = "";
  let retry: ReturnType<typeof setTimeout> | undefined;

  /** Asks who is logged in, until the server answers. */
  const refresh = async (touch?: boolean): Promise<void> => {
    clearTimeout(retry);
    try {
      await account.load(touch);
    } catch (error) {
      const pause = (error as Partial<BffProblem>).retryAfter || PAUSE;
      if (!isStopped) retry = setTimeout(() => void refresh(touch), pause * 1000);
    }
  };

  const hear = (event: SessionEvent) => {
    const { session } = store.state;
    if (event.type === "session-ended") {
      account.end(event.reason);
    } else if (event.type === "user-changed") {
      account.forget();
      store.emit(event);
      void refresh();
    } else if (session && /^session-(renewed|expiring)$/.test(event.type)) {
      const { expires_at, token_expires_at, refreshed_at } = { ...session, ...event };
      const expiring = event.type === "session-expiring" ? event : null;
      store.set({ session: { ...session, expires_at, token_expires_at, refreshed_at }, expiring });
      store.emit(event);
      // The claims may have changed. A hidden page asks when it is seen.
      if (refreshed_at !== session.refreshed_at && !document.hidden) void refresh();
    }
  };
  const hearTab = ({ event, id, login }: TabMessage) => {
    lastId = id ?? lastId;
    if (event) hear(event);
    if (login && store.state.status === "anonymous") void refresh();
  };
  const tabs = openTabs(name, hearTab);
  const hearServer = ({ id, event, data }: Message) => {
    const message: TabMessage = { id };
    if (event) message.event = { ...JSON.parse(data ?? "{}"), type: event } as SessionEvent;
    tabs.tell(message);
    hearTab(message);
  };
  const onUnauthenticated = async () => {
    await refresh();
    if (store.state.status === "anonymous") tabs.tell(endOf(store.state.reason as EndReason));
  };

  /** One tab of those that are awake and logged in follows the stream. */
  const arrange = () => {
    // An ended session has told everything.
    if (store.state.reason) lastId = "";
    if (!isAwake || store.state.status !== "authenticated") {
      stopLeading?.();
      stopLeading = undefined;
    } else {
      stopLeading ??= lead(name, (signal) =>
        follow(at.auth("events"), signal, () => lastId, hearServer, onUnauthenticated),
      );
    }
  };
  const rest = () => {
    isAwake = false;
    arrange();
  };
  const wake = (touch?: boolean) => {
    isAwake = true;
    arrange();
    void refresh(touch);
  };

  const stopListening = store.subscribe(arrange);
  const stopWatching = watchPage(wake, rest, () => {
    account.forget();
    wake(true);
  });
  const polling = pollInterval && setInterval(() => document.hidden || void refresh(), pollInterval);
  wake(true);

  return {
    lastId: () => lastId,
    tell: tabs.tell,
    stop() {
      isStopped = true;
      clearTimeout(retry);
      clearInterval(polling);
      stopListening();
      stopWatching();
      rest();
      tabs.close();
    },
  };
}
