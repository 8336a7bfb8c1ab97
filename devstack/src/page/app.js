// All that the page does: show who is logged in, and make two calls to an API. There is no token here, and no way to get
// one. The client does the rest; its source is in packages/bff-client.

import { ApiError, createBffClient, errorOf } from "/bff-client.js";

const bff = createBffClient();
// For those who look into the page with the console.
globalThis.bff = bff;

const $ = (id) => document.getElementById(id);

/** How far the server's clock is ahead of the browser's, in milliseconds. */
let skew = 0;
let renewals = 0;

// --- the server -----------------------------------------------------------------------------------------------

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

/** Words for a person about an error of a call. */
function friendly(path, error) {
  if (!(error instanceof ApiError)) return ["The server does not answer", "It may be restarting."];
  const own = path.startsWith("/auth/") ? FRIENDLY_OWN[error.status] : undefined;
  return own ?? FRIENDLY[error.status] ?? [error.problem?.title ?? `The server answered ${error.status}`, error.message];
}

/** Calls the server, and reads the answer. The client adds the proof that the call comes from this page. */
async function call(path, options = {}) {
  const response = await bff.fetch(path, { cache: "no-store", ...options, headers: { Accept: "application/json", ...options.headers } });
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date) && Math.abs(date - Date.now()) > 5000) skew = date - Date.now();
  if (!response.ok) throw await errorOf(response);
  return { body: await response.json(), correlation: response.headers.get("X-Correlation-ID") };
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

/** Shows the state of the session. */
function show() {
  const { status, session } = bff.state;
  const inside = status === "authenticated";
  document.body.dataset.state = { loading: "loading", authenticated: "in", anonymous: "out" }[status];
  $("inside").hidden = !inside;
  $("login").hidden = status !== "anonymous";
  $("logout").hidden = !inside;
  if (inside) {
    $("headline").textContent = `Hello, ${nameOf(session.user)}.`;
    $("subline").textContent = "You are logged in.";
    $("who").textContent = `${[session.user.email, `subject ${session.user.sub}`].filter(Boolean).join(" · ")} · ${location.host}`;
  } else if (status === "anonymous") {
    $("headline").textContent = "Nobody is logged in.";
    $("subline").textContent = "Log in and call an API with your name in its answer.";
    $("who").textContent = location.host;
  } else {
    const waits = bff.state.error === null;
    $("headline").textContent = waits ? "One moment…" : "The server is not ready.";
    $("subline").textContent = waits ? "Asking the server who you are." : "Nothing is lost. This page goes on as soon as it is.";
    $("who").textContent = "";
  }
  if (!inside) $("answer").hidden = true;
  tick();
}

/** Says what is wrong with the session or with the server. */
function warn() {
  const { error, expiring } = bff.state;
  if (error !== null) {
    notice(`${friendly("/auth/session", error)[0]}. The page tries again by itself.`, { warn: true });
  } else if (expiring !== null) {
    const end = clockTime(time(expiring.expires_at));
    notice(expiring.reason === "idle" ? `Your session ends at ${end} if you do nothing.` : `Your session ends at ${end}.`, { warn: true });
  } else if (!$("notice").classList.contains("keep")) {
    notice("");
  }
}

/** What moves by itself: once a second. */
function tick() {
  const { session } = bff.state;
  if (session === null) return;
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

function refused(path, error) {
  const [title, detail] = friendly(path, error);
  const meta = [detail, error.correlationId ? `Id for the log: ${error.correlationId}` : ""].filter(Boolean).join(" ");
  answer(title, meta, error.problem, true);
}

// --- what happens ---------------------------------------------------------------------------------------------

const WHY_ENDED = {
  logout: "Your session has ended: you have logged out.",
  provider_logout: "Your session has ended: you have logged out at the identity provider.",
  elsewhere: "Your session has ended: you have ended it from another browser.",
  admin: "Your session has ended: an administrator has ended it.",
  idle: "Your session has ended, since you have not used it for a while. Log in again to go on.",
  lifetime: "Your session has ended after its longest time. Log in again to go on.",
  too_many_sessions: "Your session has ended, since you have logged in on many devices. Log in again to go on.",
  unknown: "Your session has ended. Log in again to go on.",
};

/** Runs `work`, which calls `path`, with `button` switched off. */
async function busy(button, path, work) {
  button.disabled = true;
  try {
    await work(path);
  } catch (error) {
    refused(path, error);
  } finally {
    button.disabled = false;
  }
}

$("hello").addEventListener("click", () =>
  busy($("hello"), "/api/hello", async (path) => {
    const { body, correlation } = await call(path);
    const roles = Array.isArray(body?.roles) && body.roles.length > 0 ? `Your roles: ${body.roles.join(", ")}.` : "";
    answer(body?.greeting ?? "The API answered.", [roles, correlation ? `Id for the log: ${correlation}` : ""].filter(Boolean).join(" "), body);
  }),
);

$("note-form").addEventListener("submit", (event) => {
  event.preventDefault();
  busy($("write"), "/api/notes", async (path) => {
    await call(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: $("note").value }),
    });
    $("note").value = "";
    const { body } = await call(path);
    const count = body?.notes?.length ?? 0;
    answer("The note is kept.", `The API holds ${count} ${count === 1 ? "note" : "notes"} of yours until it restarts.`, body);
  });
});

// The identity provider ends its own session and sends the browser back.
$("logout").addEventListener("click", () => busy($("logout"), "/auth/logout", () => bff.logout()));

async function hosts() {
  const { body } = await call("/page-config.json");
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

let before = bff.state;
bff.subscribe(() => {
  const now = bff.state;
  if (before.session && before.session.user.sub === now.session?.user.sub) renewed(before.session, now.session);
  // A login in another tab makes the words about an end out of date.
  if (before.status === "anonymous" && now.status === "authenticated") notice("");
  before = now;
  show();
  warn();
});
bff.on("session-ended", ({ reason }) => notice(WHY_ENDED[reason] ?? WHY_ENDED.unknown, { keep: true }));

explainReturn();
hosts().catch(() => {});
setInterval(tick, 1000);
bff.start();
