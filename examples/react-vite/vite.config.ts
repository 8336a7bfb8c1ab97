import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// With the bff in front (http://localhost:8000) the proxy is not used. With Vite in front (http://localhost:5173) it forwards
// logins and calls. Objects, because the short form would replace the `Host` header, by which the bff chooses the address of
// the callback.
const bff = { target: "http://localhost:8000" };

export default defineConfig({
  plugins: [react()],
  server: { port: 5173, strictPort: true, proxy: { "/auth": bff, "/api": bff } },
});
