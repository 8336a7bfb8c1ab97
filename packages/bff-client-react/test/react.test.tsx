import { act, type ReactNode, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  AuthProvider,
  BffAuthProvider,
  configure,
  createBffClient,
  useAuth,
  useBffClient,
  useSession,
  useSessionEvent,
} from "../src/index.js";

vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);

let answer: object;
let requests: { method: string; url: string }[];
let root: Root;
let box: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  answer = { authenticated: false };
  requests = [];
  vi.stubGlobal("fetch", async (url: URL, { method = "GET" }: RequestInit = {}) => {
    requests.push({ method, url: url.pathname + url.search });
    if (url.pathname === "/auth/session") return Response.json(answer);
    if (url.pathname === "/auth/logout") return Response.json({});
    return new Response(null, { status: 503 });
  });
  // Each client has its own stream.
  vi.stubGlobal("BroadcastChannel", undefined);
  box = document.createElement("div");
  root = createRoot(box);
});
afterEach(() => act(async () => root.unmount()));

const show = (node: ReactNode) => act(async () => root.render(node));
const logIn = (name: string) => {
  answer = {
    authenticated: true,
    user: { sub: `u-${name}`, name },
    expires_at: "2026-11-23T07:00:00Z",
    csrf_token: "csrf",
  };
};

function Greeting() {
  const { isAuthenticated, isLoading, user, error, login, logout } = useAuth();
  const { expiring } = useSession();
  return (
    <p>
      {isLoading ? "…" : isAuthenticated ? `Hello, ${user?.name ?? ""}.` : "Nobody."}
      {error && ` ${error.message}.`}
      {expiring && " Soon over."}
      <button onClick={() => login("/back")}>in</button>
      <button onClick={() => void logout({ everywhere: true })}>out</button>
    </p>
  );
}
const text = () => box.querySelector("p")?.firstChild?.textContent;

describe("useAuth", () => {
  it("shows who is logged in", async () => {
    logIn("Ada");
    await show(
      <AuthProvider client={createBffClient()}>
        <Greeting />
      </AuthProvider>,
    );
    expect(text()).toBe("Hello, Ada.");
  });

  it("shows that nobody is, and follows a change", async () => {
    const client = createBffClient();
    await show(
      <AuthProvider client={client}>
        <Greeting />
      </AuthProvider>,
    );
    expect(text()).toBe("Nobody.");
    logIn("Grace");
    await act(() => client.session());
    expect(text()).toBe("Hello, Grace.");
  });

  it("logs in and out", async () => {
    logIn("Ada");
    const navigate = vi.fn();
    await show(
      <AuthProvider client={createBffClient({ navigate })}>
        <Greeting />
      </AuthProvider>,
    );
    const [login, logout] = box.querySelectorAll("button");
    await act(async () => login?.click());
    expect(navigate).toHaveBeenCalledExactlyOnceWith("https://app.example.com/auth/login?return_to=%2Fback");
    await act(async () => logout?.click());
    expect(requests.at(-1)).toEqual({ method: "POST", url: "/auth/logout" });
    expect(text()).toBe("Nobody.");
  });

  it("needs a provider", () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    return expect(show(<Greeting />)).rejects.toThrow("<AuthProvider>");
  });
});

describe("AuthProvider", () => {
  it("uses the shared client, which takes its options", async () => {
    const baseUrl = "https://bff.example.com/api";
    const Look = () => <p>{useBffClient() === configure({ baseUrl }) ? "shared" : "another"}</p>;
    await show(
      <BffAuthProvider baseUrl={baseUrl} pollIntervalMs={300_000}>
        <Look />
      </BffAuthProvider>,
    );
    expect(text()).toBe("shared");
    expect(configure({ baseUrl, pollIntervalMs: 300_000 })).toBe(configure({}));
  });

  it("starts once in strict mode, and ends with the component", async () => {
    logIn("Ada");
    const client = createBffClient();
    await show(
      <StrictMode>
        <AuthProvider client={client}>
          <Greeting />
        </AuthProvider>
      </StrictMode>,
    );
    expect(text()).toBe("Hello, Ada.");
    await show(null);
    const before = requests.length;
    window.dispatchEvent(new Event("visibilitychange"));
    await act(async () => undefined);
    expect(requests).toHaveLength(before);
  });
});

it("useSessionEvent calls the latest listener", async () => {
  logIn("Ada");
  const client = createBffClient();
  const heard: string[] = [];
  const Listen = ({ name }: { name: string }) => {
    useSessionEvent("session-ended", ({ reason }) => heard.push(`${name}: ${reason}`));
    return null;
  };
  for (const name of ["first", "second"]) {
    await show(
      <AuthProvider client={client}>
        <Listen name={name} />
      </AuthProvider>,
    );
  }
  answer = { authenticated: false };
  await act(() => client.session());
  expect(heard).toEqual(["second: unknown"]);
});
