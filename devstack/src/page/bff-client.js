// Built from packages/bff-client by 'npm run build'. Do not edit.

// packages/bff-client/dist/problem.js
var ApiError = class extends Error {
  status;
  code;
  correlationId;
  name = "ApiError";
  constructor(status, message, code, correlationId) {
    super(message);
    this.status = status;
    this.code = code;
    this.correlationId = correlationId;
  }
};
var BffProblem = class extends ApiError {
  problem;
  retryAfter;
  name = "BffProblem";
  constructor(status, problem, correlationId, retryAfter) {
    super(status, problem.detail ?? problem.code, problem.code, correlationId);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
};
async function errorOf(response) {
  const { headers, status } = response;
  const correlationId = headers.get("X-Correlation-ID") ?? void 0;
  if (headers.get("Content-Type")?.startsWith("application/problem+json")) {
    const problem = await response.clone().json().catch(() => null);
    if (problem?.code) {
      const seconds = parseFloat(headers.get("Retry-After") ?? "");
      return new BffProblem(status, problem, correlationId, seconds >= 0 ? seconds : void 0);
    }
  }
  return new ApiError(status, `HTTP ${status}`, void 0, correlationId);
}

// packages/bff-client/dist/store.js
var LOADING = { status: "loading", session: null, reason: null, expiring: null, error: null };
function createStore() {
  let state = LOADING;
  const changes = /* @__PURE__ */ new Set();
  const news = /* @__PURE__ */ new Set();
  const add = (listeners, listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  return {
    get state() {
      return state;
    },
    set(part) {
      state = { ...state, ...part };
      for (const listener of changes)
        listener();
    },
    // Each listener is an entry of its own, also if it is given twice.
    subscribe: (listener) => add(changes, () => listener()),
    on: (type, listener) => add(news, (event) => event.type === type && listener(event)),
    emit(event) {
      for (const listener of news)
        listener(event);
    }
  };
}

// packages/bff-client/dist/account.js
function createAccount(at, store, onLogin, why) {
  let csrf;
  let era = 0;
  let pending;
  const leave = () => {
    era += 1;
    csrf = pending = void 0;
  };
  const end = (reason) => {
    if (store.state.status === "anonymous")
      return;
    leave();
    store.set({ ...LOADING, status: "anonymous", reason });
    store.emit({ type: "session-ended", reason });
  };
  const forget = () => {
    leave();
    store.set(LOADING);
  };
  const accept = async (answer) => {
    const before = store.state.session;
    if (!answer.authenticated) {
      const anonymous = { ...LOADING, status: "anonymous" };
      if (!before)
        return store.set({ ...anonymous, reason: answer.reason ?? store.state.reason });
      leave();
      store.set(anonymous);
      const reason = await why();
      if (store.state.status === "anonymous")
        store.set({ reason });
      return store.emit({ type: "session-ended", reason });
    }
    const { authenticated: _, csrf_token, ...session } = answer;
    if (before && before.user.sub !== session.user.sub) {
      forget();
      store.emit({ type: "user-changed" });
    }
    csrf = csrf_token;
    const { expiring } = store.state;
    store.set({
      ...LOADING,
      status: "authenticated",
      session,
      expiring: expiring?.expires_at === session.expires_at ? expiring : null
    });
    if (!before)
      onLogin();
  };
  const ask = async (touch) => {
    const asked = era;
    try {
      const response = await fetch(at.auth(touch ? "session" : "session?touch=false"), {
        credentials: "include",
        cache: "no-store"
      });
      if (!response.ok)
        throw await errorOf(response);
      const answer = await response.json();
      if (asked === era)
        return await accept(answer);
    } catch (error) {
      if (asked === era) {
        store.set({ error });
        throw error;
      }
    }
    return load();
  };
  const load = (touch = false) => {
    if (touch)
      return ask(touch);
    return pending ??= ask(touch).finally(() => pending = void 0);
  };
  return {
    load,
    async csrf(refused) {
      if (refused || csrf === void 0)
        await load();
      return csrf;
    },
    end,
    forget
  };
}

// packages/bff-client/dist/address.js
function addresses(baseUrl) {
  const page = globalThis;
  const base = () => new URL(baseUrl.replace(/\/+$/, "") || "/", page.location?.href);
  const call2 = (input) => {
    const { origin } = base();
    const url = new URL(input, origin);
    if (url.origin !== origin)
      throw new TypeError(`Foreign origin: ${url.origin}`);
    return url;
  };
  return {
    origin: () => base().origin,
    auth: (path) => new URL(`auth/${path}`, base()),
    call: call2,
    api: (path) => {
      if (/^https?:/i.test(path))
        return call2(path);
      const { pathname } = base();
      const rest = pathname.endsWith("/api") ? path.replace(/^\/api(?=[/?]|$)/, "") : path;
      return call2(pathname.replace(/\/$/, "") + rest.replace(/^\/*(?![/?]|$)/, "/"));
    }
  };
}

// packages/bff-client/dist/wait.js
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1e3);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", stop);
  });
}

// packages/bff-client/dist/call.js
var PAUSE = 5;
var SHORTEST = 1;
var PASSING = /^(token_refresh_pending|(session_store|service)_unavailable|busy|not_ready|overloaded)$/;
async function call(url, init, account, { maxWait = 30, onUnauthenticated, onStepUp }, isAnonymous) {
  const isSafe = /^(GET|HEAD|OPTIONS)$/i.test(init.method ?? "GET");
  const headers = new Headers(init.headers);
  const isRepeatable = !(init.body instanceof ReadableStream);
  let left = maxWait;
  let isRefused = false;
  for (; ; ) {
    if (!isSafe) {
      const token = await account.csrf(isRefused);
      if (token)
        headers.set("X-CSRF-Token", token);
    }
    const response = await fetch(url, {
      ...init,
      headers,
      credentials: "include",
      // A redirect could lead to another origin, and the browser would send the CSRF token there too.
      redirect: isSafe ? init.redirect ?? "follow" : "error"
    });
    if (![401, 403, 503].includes(response.status))
      return response;
    const error = await errorOf(response);
    const refusal = error instanceof BffProblem ? error : void 0;
    if (refusal?.code === "csrf_token" && !isSafe && isRepeatable && !isRefused) {
      isRefused = true;
      continue;
    }
    if (refusal && PASSING.test(refusal.code) && isRepeatable) {
      const pause = Math.max(refusal.retryAfter ?? PAUSE, SHORTEST);
      left -= pause;
      if (left >= 0) {
        await wait(pause, init.signal);
        continue;
      }
    }
    if (refusal?.code === "step_up_required")
      onStepUp?.(refusal);
    else if (response.status === 401) {
      await account.load().catch(() => void 0);
      if (isAnonymous())
        onUnauthenticated?.(error);
    }
    return response;
  }
}

// packages/bff-client/dist/page.js
var HIDDEN = 3e5;
function watchPage(onSeen, onRest, onBack) {
  const stop = new AbortController();
  let hidden;
  const listen = (name, act) => window.addEventListener(name, act, { signal: stop.signal });
  listen("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden)
      hidden = setTimeout(onRest, HIDDEN);
    else
      onSeen();
  });
  listen("pagehide", onRest);
  listen("pageshow", ({ persisted }) => persisted && onBack());
  return () => {
    clearTimeout(hidden);
    stop.abort();
  };
}

// packages/bff-client/dist/stream.js
var SILENCE = 75;
var COME_AGAIN = 3;
var REFUSED = 15;
var SEARCH = 5;
async function follow(url, signal, lastId, hear, onUnauthenticated) {
  while (!signal.aborted) {
    let pause = COME_AGAIN;
    try {
      const refusal = await connect(url, signal, lastId(), hear);
      if (refusal?.status === 401)
        await onUnauthenticated();
      if (refusal)
        pause = Math.max(Number(refusal.headers.get("Retry-After")) || 0, REFUSED);
    } catch {
    }
    await wait(pause, signal).catch(() => void 0);
  }
}
async function whyEnded(url, lastId) {
  let reason = "unknown";
  if (lastId) {
    const stop = new AbortController();
    const hear = ({ event, data }) => {
      if (event === "session-ended")
        ({ reason } = JSON.parse(data ?? "{}"));
      stop.abort();
    };
    await connect(url, stop.signal, lastId, hear, SEARCH).catch(() => void 0);
  }
  return reason;
}
async function connect(url, signal, lastId, hear, patience = SILENCE) {
  const connection = new AbortController();
  const cut = () => connection.abort();
  let silence;
  const onLife = () => {
    clearTimeout(silence);
    silence = setTimeout(cut, patience * 1e3);
  };
  try {
    onLife();
    const response = await fetch(url, {
      headers: lastId ? { "Last-Event-ID": lastId } : {},
      credentials: "include",
      cache: "no-store",
      signal: AbortSignal.any([signal, connection.signal])
    });
    if (!response.ok)
      return response;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (; ; ) {
      const { done, value } = await reader.read();
      if (done)
        return void 0;
      onLife();
      const blocks = (text + value).split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      for (const block of blocks)
        hear(parse(block));
    }
  } finally {
    clearTimeout(silence);
    cut();
  }
}
function parse(block) {
  return Object.fromEntries(Array.from(block.matchAll(/^(\w+): ?(.*?)\r?$/gm), (field) => field.slice(1)));
}

// packages/bff-client/dist/tabs.js
var browser = globalThis;
function endOf(reason) {
  return { event: { type: "session-ended", reason }, id: "" };
}
function openTabs(name, hear) {
  const channel = browser.BroadcastChannel && new BroadcastChannel(name);
  if (channel)
    channel.onmessage = ({ data }) => hear(data ?? {});
  return {
    tell: (message) => channel?.postMessage(message),
    close: () => channel?.close()
  };
}
function lead(name, work) {
  const stop = new AbortController();
  const { signal } = stop;
  const run = () => work(signal);
  const locks = browser.BroadcastChannel && browser.navigator?.locks;
  if (locks)
    void locks.request(name, { signal }, run).catch(run);
  else
    void run();
  return () => stop.abort();
}

// packages/bff-client/dist/live.js
var PAUSE2 = 5;
function startLive(at, account, store, pollInterval = 0) {
  const name = `bff ${at.origin()}`;
  let isAwake = true;
  let isStopped = false;
  let stopLeading;
  let lastId = "";
  let retry;
  const refresh = async (touch) => {
    clearTimeout(retry);
    try {
      await account.load(touch);
    } catch (error) {
      const pause = error.retryAfter || PAUSE2;
      if (!isStopped)
        retry = setTimeout(() => void refresh(touch), pause * 1e3);
    }
  };
  const hear = (event) => {
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
      if (refreshed_at !== session.refreshed_at && !document.hidden)
        void refresh();
    }
  };
  const hearTab = ({ event, id, login }) => {
    lastId = id ?? lastId;
    if (event)
      hear(event);
    if (login && store.state.status === "anonymous")
      void refresh();
  };
  const tabs = openTabs(name, hearTab);
  const hearServer = ({ id, event, data }) => {
    const message = { id };
    if (event)
      message.event = { ...JSON.parse(data ?? "{}"), type: event };
    tabs.tell(message);
    hearTab(message);
  };
  const onUnauthenticated = async () => {
    await refresh();
    if (store.state.status === "anonymous")
      tabs.tell(endOf(store.state.reason));
  };
  const arrange = () => {
    if (store.state.reason)
      lastId = "";
    if (!isAwake || store.state.status !== "authenticated") {
      stopLeading?.();
      stopLeading = void 0;
    } else {
      stopLeading ??= lead(name, (signal) => follow(at.auth("events"), signal, () => lastId, hearServer, onUnauthenticated));
    }
  };
  const rest = () => {
    isAwake = false;
    arrange();
  };
  const wake = (touch) => {
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
    }
  };
}

// packages/bff-client/dist/query.js
function setQuery(query, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value != null)
      query.set(name, String(value));
  }
  return query;
}

// packages/bff-client/dist/client.js
function createBffClient(options = {}) {
  const { baseUrl = "/api", pollIntervalMs, navigate = (url) => location.assign(url) } = options;
  const at = addresses(baseUrl);
  const store = createStore();
  let live;
  let users = 0;
  const account = createAccount(at, store, () => live?.tell({ login: true }), () => whyEnded(at.auth("events"), live?.lastId() ?? ""));
  const isAnonymous = () => store.state.status === "anonymous";
  const here = () => {
    const { origin, href } = location;
    return origin === at.origin() ? href.slice(origin.length) : href;
  };
  const stepUp = ({ problem: { login_url } }) => {
    const login = at.auth("login");
    const url = urlOf(login_url, login);
    if (url?.origin !== login.origin || url.pathname !== login.pathname)
      return false;
    if (!url.searchParams.has("return_to"))
      url.searchParams.set("return_to", here());
    navigate(url.href);
    return true;
  };
  const request = (url, init = {}) => call(url, init, account, { ...options, onStepUp: options.onStepUp ?? stepUp }, isAnonymous);
  return {
    get state() {
      return store.state;
    },
    subscribe: store.subscribe,
    on: store.on,
    start() {
      if (typeof document === "undefined")
        return () => void 0;
      users += 1;
      live ??= startLive(at, account, store, pollIntervalMs);
      let isUsing = true;
      return () => {
        if (isUsing && --users === 0) {
          live?.stop();
          live = void 0;
        }
        isUsing = false;
      };
    },
    async session({ touch } = {}) {
      await account.load(touch);
      return store.state.session;
    },
    login(returnTo = here(), more) {
      const url = at.auth("login");
      setQuery(url.searchParams, { return_to: returnTo, ...more });
      navigate(url.href);
    },
    async logout({ everywhere, returnTo } = {}) {
      const body = setQuery(new URLSearchParams(), { everywhere: everywhere || null, return_to: returnTo });
      const response = await request(at.auth("logout"), {
        method: "POST",
        headers: { Accept: "application/json" },
        body
      });
      if (!response.ok && !isAnonymous())
        throw await errorOf(response);
      live?.tell(endOf("logout"));
      account.end("logout");
      if (!response.ok)
        return;
      const { logout_url } = await response.json();
      const url = urlOf(logout_url, at.origin());
      if (url && /^https?:$/.test(url.protocol))
        navigate(url.href);
    },
    stepUp,
    csrfToken: () => account.csrf(),
    fetch: async (input, init) => request(at.call(input), init),
    apiUrl: at.api
  };
}
function urlOf(text, base) {
  try {
    return text ? new URL(text, base) : void 0;
  } catch {
    return void 0;
  }
}

// packages/bff-client/dist/api.js
var shared;
var settings = {};
function configure(options) {
  const isNew = Object.entries(options).some(([name, value]) => settings[name] !== value);
  if (!shared || isNew)
    shared = createBffClient(settings = { ...settings, ...options });
  return shared;
}
function setBaseUrl(url) {
  configure({ baseUrl: url });
}
async function fetchWithAuth(input, init) {
  const client = configure({});
  return client.fetch(client.apiUrl(input), init);
}
async function send(method, path, body, options = {}) {
  const client = configure({});
  const url = client.apiUrl(path);
  setQuery(url.searchParams, options.params ?? {});
  const headers = new Headers(options.headers);
  const setDefault = (name) => headers.has(name) || headers.set(name, "application/json");
  setDefault("Accept");
  const init = { method, headers, signal: options.signal ?? null };
  if (body instanceof FormData || body instanceof Blob || body instanceof URLSearchParams)
    init.body = body;
  else if (body !== void 0) {
    init.body = JSON.stringify(body);
    setDefault("Content-Type");
  }
  const response = await client.fetch(url, init);
  if (!response.ok)
    throw await errorOf(response);
  const text = await response.text();
  const isJson = /[/+]json\b/.test(response.headers.get("Content-Type") ?? "");
  return isJson && text ? JSON.parse(text) : text || void 0;
}
var withoutBody = (method) => (path, options) => send(method, path, void 0, options);
var withBody = (method) => (path, body, options) => send(method, path, body, options);
var apiClient = {
  get: withoutBody("GET"),
  delete: withoutBody("DELETE"),
  post: withBody("POST"),
  put: withBody("PUT"),
  patch: withBody("PATCH")
};
export {
  ApiError,
  BffProblem,
  apiClient,
  configure,
  createBffClient,
  errorOf,
  fetchWithAuth,
  setBaseUrl
};
