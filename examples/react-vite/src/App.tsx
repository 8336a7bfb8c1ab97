import { useAuth, useSession, useSessionEvent } from "bff-client-react";
import { useState } from "react";

import { Notes } from "./Notes";

export function App() {
  const { isLoading, user, error, login, logout } = useAuth();
  const { expiring } = useSession();
  const [notice, setNotice] = useState("");
  useSessionEvent("session-ended", ({ reason }) => setNotice(`Your session has ended (${reason}).`));
  useSessionEvent("user-changed", () => setNotice(""));

  return (
    <main>
      <h1 id="headline">
        {isLoading ? "One moment…" : user ? `Hello, ${user.name ?? user.sub}.` : "Nobody is logged in."}
      </h1>
      <p id="notice" role="status">
        {error ? "The server does not answer. The page tries again by itself." : notice}
        {expiring && `Your session ends at ${new Date(expiring.expires_at).toLocaleTimeString()}.`}
      </p>
      {user ? (
        <>
          <Notes />
          <button id="logout" onClick={() => void logout()}>
            Log out
          </button>
        </>
      ) : (
        !isLoading && (
          <button id="login" onClick={() => login()}>
            Log in
          </button>
        )
      )}
    </main>
  );
}
