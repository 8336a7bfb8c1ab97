"use strict";

// All that the page does: ask the server who is logged in, show it, and make two calls to an API.
// There is no token here, and no way to get one.

/** How long the page waits before it tries once more what the server did not answer, in milliseconds. */
const TRY_AGAIN_AFTER = 4000;

/** The same where the server has refused the stream of events although somebody is logged in. */
const LISTEN_AGAIN_AFTER = 30000;

const $ = (id) => document.getElementById(id);

/** The last answer of /auth/session, or null before the first. */
let session = null;
/** How far the server's clock is ahead of the browser's, in milliseconds. */
let skew = 0;
let renewals = 0;
let trying = null;
/** The stream in which the server tells what becomes of the session; null while nobody is logged in. */
let events = null;

// --- the server -----------------------------------------------------------------------------------------------

/** A refusal, with words for a person. */
class Refusal extends Error {
  constructor(title, detail, body) {
    super(title);
    this.detail = detail;
    this.body = body;
  }
}

const FRIENDLY = {
  401: ["Your session has ended", "Log in again to go on."],
  403: ["The server refused this", "The proof that the call comes from this page did not fit. Reload the page and try again."],
  404: ["There is nothing at this address", "No route of the server leads there."],
  405: ["The route does not take this method", ""],
  429: ["A little too fast", "Wait a moment and try again."],
  502: ["The API does not answer", "The server cannot reach it. Is it running?"],
  503: ["Not available at the moment", "Try again in a few seconds."],
  504: ["The API took too long", "Try again in a few seconds."],
};

/** The server's own endpoints depend on no API. */
const FRIENDLY_OWN = {
  502: ["The identity provider does not answer", "Try again in a few seconds."],
  503: ["The server is not available at the moment", "Try again in a few seconds."],
  504: ["The identity provider took too long", "Try again in a few seconds."],
};

function friendly(path, status, body) {
  const own = path.startsWith("/auth/") ? FRIENDLY_OWN[status] : undefined;
  return own ?? FRIENDLY[status] ?? [body?.title ?? `The server answered ${status}`, body?.detail ?? ""];
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      credentials: "same-origin",
      cache: "no-store",
      ...options,
      headers: { Accept: "application/json", ...options.headers },
    });
  } catch {
    throw new Refusal("The server does not answer", "It may be restarting.");
  }
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 5000) skew = date - Date.now();
  const text = await response.text();
  let body = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    body = null;
  }
  if (!response.ok) {
    const [title, detail] = friendly(path, response.status, body);
    const refusal = new Refusal(title, detail, body);
    refusal.status = response.status;
    refusal.correlation = response.headers.get("X-Correlation-ID");
    throw refusal;
  }
  return { body, status: response.status, correlation: response.headers.get("X-Correlation-ID") };
}

/** A call that changes something carries the proof that it comes from this page. */
function change(path, options) {
  return request(path, {
    method: "POST",
    ...options,
    headers: { "X-CSRF-Token": session?.csrf_token ?? "", ...options?.headers },
  });
}

// --- what is shown --------------------------------------------------------------------------------------------

/** A time as the server writes it: RFC 3339, or seconds since 1970. */
function time(value) {
  if (typeof value === "number") return value * 1000;
  const parsed = Date.parse(value ?? "");
  return Number.isNaN(parsed) ? null : parsed;
}

function clockTime(at) {
  const form = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return at === null ? "–" : new Date(at).toLocaleTimeString([], form);
}

function ago(at) {
  if (at === null) return "–";
  const seconds = Math.max(0, Math.round((Date.now() + skew - at) / 1000));
  if (seconds < 60) return `${clockTime(at)} (${seconds} s ago)`;
  return `${clockTime(at)} (${Math.floor(seconds / 60)} min ago)`;
}

/** One line above all; `keep` leaves it there until something else is to be said. */
function notice(text, { warn = false, keep = false } = {}) {
  const box = $("notice");
  // Set only what has changed: a screen reader reads it each time.
  if (box.textContent !== text) box.textContent = text;
  box.classList.toggle("warn", warn);
  box.classList.toggle("keep", keep);
  box.hidden = text === "";
}

function nameOf(user) {
  return user?.name ?? user?.preferred_username ?? user?.email ?? user?.sub ?? "you";
}

function show() {
  const inside = session?.authenticated === true;
  document.body.dataset.state = inside ? "in" : "out";
  $("inside").hidden = !inside;
  $("login").hidden = inside;
  $("logout").hidden = !inside;
  if (inside) {
    $("headline").textContent = `Hello, ${nameOf(session.user)}.`;
    $("subline").textContent = "You are logged in.";
    $("who").textContent = `${[session.user?.email, `subject ${session.user?.sub ?? "unknown"}`].filter(Boolean).join(" · ")} · ${location.host}`;
  } else {
    $("headline").textContent = "Nobody is logged in.";
    $("subline").textContent = "Log in and call an API with your name in its answer.";
    $("who").textContent = location.host;
    $("answer").hidden = true;
  }
  tick();
}

/** Until the server has said who it is. */
function wait() {
  session = null;
  document.body.dataset.state = "loading";
  for (const id of ["inside", "login", "logout"]) $(id).hidden = true;
  $("answer").hidden = true;
  $("headline").textContent = "One moment…";
  $("subline").textContent = "Asking the server who you are.";
  $("who").textContent = "";
}

/** What moves by itself: once a second. */
function tick() {
  if (session?.authenticated !== true) return;
  const renewed = time(session.refreshed_at);
  const expires = time(session.token_expires_at);
  $("renewed").textContent = ago(renewed);
  $("expires").textContent = clockTime(expires);
  $("session-end").textContent = clockTime(time(session.expires_at));
  if (expires === null) return;
  const left = Math.max(0, Math.ceil((expires - Date.now() - skew) / 1000));
  const minutes = Math.floor(left / 60);
  $("countdown").textContent = minutes > 0 ? `${minutes}:${String(left % 60).padStart(2, "0")}` : String(left);
  $("countdown-unit").textContent = left === 0 ? "left; your next call renews it" : minutes > 0 ? "minutes left" : "seconds left";
  const life = renewed === null ? 0 : (expires - renewed) / 1000;
  $("life").value = life > 0 ? Math.min(100, (left / life) * 100) : 0;
}

function renewed(before, after) {
  const [from, to] = [time(before?.refreshed_at), time(after?.refreshed_at)];
  if (from === null || to === null || to <= from) return;
  renewals += 1;
  $("renewals").textContent = renewals === 1 ? "Renewed once, by the server alone." : `Renewed ${renewals} times, by the server alone.`;
  const line = $("renewed");
  line.classList.remove("fresh");
  // Read, so that the animation starts anew.
  void line.offsetWidth;
  line.classList.add("fresh");
}

function answer(title, meta, body, failed = false) {
  $("answer").hidden = false;
  $("answer").classList.toggle("failed", failed);
  $("answer-title").textContent = title;
  $("answer-meta").textContent = meta;
  $("answer-details").hidden = body === null || body === undefined;
  $("answer-body").textContent = body ? JSON.stringify(body, null, 2) : "";
}

function refused(error) {
  if (!(error instanceof Refusal)) throw error;
  const meta = [error.detail, error.correlation ? `Id for the log: ${error.correlation}` : ""].filter(Boolean).join(" ");
  answer(error.message, meta, error.body, true);
  if (error.status === 401) load();
}

// --- what happens ---------------------------------------------------------------------------------------------

/** Asks who is logged in; only the first time counts as use of the session. Listens from then on to what becomes of it. */
async function load({ first = false, listens = true } = {}) {
  clearTimeout(trying);
  try {
    const { body } = await request(first ? "/auth/session" : "/auth/session?touch=false");
    const before = session;
    session = body ?? { authenticated: false };
    if (before?.authenticated && session.authenticated && before.user?.sub === session.user?.sub) renewed(before, session);
    if (before?.authenticated && !session.authenticated) notice(WHY_ENDED.unknown, { keep: true });
    else if (!first && !$("notice").classList.contains("keep")) notice("");
    show();
    if (!session.authenticated) deafen();
    else if (listens) listen();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    notice(`${error.message}. The page tries again by itself.`, { warn: true });
    if (session === null) {
      $("headline").textContent = "The server is not ready.";
      $("subline").textContent = "Nothing is lost. This page goes on as soon as it is.";
    }
    trying = setTimeout(load, TRY_AGAIN_AFTER);
  }
}

const WHY_ENDED = {
  logout: "Your session has ended: you have logged out.",
  provider_logout: "Your session has ended: you have logged out at the identity provider.",
  elsewhere: "Your session has ended: you have ended it from another browser.",
  idle: "Your session has ended, since you have not used it for a while. Log in again to go on.",
  lifetime: "Your session has ended after its longest time. Log in again to go on.",
  too_many_sessions: "Your session has ended, since you have logged in on many devices. Log in again to go on.",
  unknown: "Your session has ended. Log in again to go on.",
};

/** Nothing of the session stays in the page. */
function over(reason) {
  deafen();
  session = { authenticated: false };
  notice(WHY_ENDED[reason] ?? WHY_ENDED.unknown, { keep: true });
  show();
}

/** Has the server tell what becomes of the session. The browser connects anew by itself, and hears what it has missed. */
function listen() {
  if (events !== null) return;
  const source = new EventSource("/auth/events");
  events = source;
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("session-ended", ({ reason }) => over(reason));
  on("user-changed", () => load());
  on("session-expiring", ({ expires_at, reason }) => {
    const end = clockTime(time(expires_at));
    notice(reason === "idle" ? `Your session ends at ${end} if you do nothing.` : `Your session ends at ${end}.`, { warn: true });
  });
  on("session-renewed", (told) => {
    if (told.refreshed_at !== session?.refreshed_at) return load();
    session.expires_at = told.expires_at;
    if (!$("notice").classList.contains("keep")) notice("");
    tick();
  });
  source.addEventListener("open", () => {
    if (!$("notice").classList.contains("keep")) notice("");
  });
  source.addEventListener("error", async () => {
    if (events !== source) return;
    if (source.readyState !== EventSource.CLOSED) {
      notice("The server does not answer. The page tries again by itself.", { warn: true });
      return;
    }
    // Refused: mostly since there is no session any more.
    deafen();
    await load({ listens: false });
    if (session?.authenticated) trying = setTimeout(load, LISTEN_AGAIN_AFTER);
  });
}

function deafen() {
  events?.close();
  events = null;
}

/** Runs `work` with `button` switched off. */
async function busy(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    refused(error);
  } finally {
    button.disabled = false;
  }
}

$("hello").addEventListener("click", () =>
  busy($("hello"), async () => {
    const { body, correlation } = await request("/api/hello");
    const roles = Array.isArray(body?.roles) && body.roles.length > 0 ? `Your roles: ${body.roles.join(", ")}.` : "";
    answer(body?.greeting ?? "The API answered.", [roles, correlation ? `Id for the log: ${correlation}` : ""].filter(Boolean).join(" "), body);
  }),
);

$("note-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("write"), async () => {
    await change("/api/notes", {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: $("note").value }),
    });
    $("note").value = "";
    const { body } = await request("/api/notes");
    const count = body?.notes?.length ?? 0;
    answer("The note is kept.", `The API holds ${count} ${count === 1 ? "note" : "notes"} of yours until it restarts.`, body);
  });
});

$("logout").addEventListener("click", () =>
  busy($("logout"), async () => {
    const { body } = await change("/auth/logout");
    // Nothing of the session stays in a page that the back button brings back.
    deafen();
    session = { authenticated: false };
    show();
    // The identity provider ends its own session and sends the browser back.
    location.assign(body?.logout_url ?? "/");
  }),
);

async function hosts() {
  const { body } = await request("/page-config.json");
  const origins = Array.isArray(body?.origins) ? body.origins : [];
  if (origins.length < 2) return;
  for (const origin of origins) {
    const here = origin === location.origin;
    // Where one is already is no link.
    const entry = document.createElement(here ? "span" : "a");
    if (here) entry.setAttribute("aria-current", "page");
    else entry.href = `${origin}/`;
    entry.textContent = new URL(origin).host;
    $("hosts").append(entry);
  }
  $("hosts").hidden = false;
}

function explainReturn() {
  const error = new URLSearchParams(location.search).get("error");
  if (error === null) return;
  const text = error === "login_required" ? "You are not logged in at the identity provider yet." : "The login did not work out. Try again.";
  notice(text, { warn: true, keep: true });
  history.replaceState(null, "", location.pathname);
}

explainReturn();
hosts().catch(() => {});
setInterval(tick, 1000);
document.addEventListener("visibilitychange", () => {
  // Nobody tells a page without a session of a login in another tab.
  if (!document.hidden && events === null) load();
});
// A page that listens is not kept for the back button.
window.addEventListener("pagehide", deafen);
// The browser may bring the page back as it was left; by now somebody else can be logged in, or nobody.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  wait();
  load({ first: true });
});
load({ first: true });
