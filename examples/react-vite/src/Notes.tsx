import { apiClient, ApiError } from "bff-client-react";
import { useState } from "react";

interface Answer {
  notes: { text: string }[];
}

/** Calls the sample API of the development stack. */
export function Notes() {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState("");

  const run = async (work: () => Promise<string>) => {
    try {
      setAnswer(await work());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setAnswer(`${error.message} (${error.correlationId ?? "no id"})`);
    }
  };
  const hello = () => run(async () => (await apiClient.get<{ greeting: string }>("/hello")).greeting);
  const keep = () =>
    run(async () => {
      await apiClient.post("/notes", { text });
      const { notes } = await apiClient.get<Answer>("/notes");
      setText("");
      return `The API keeps ${notes.length} of your notes.`;
    });

  return (
    <section>
      <button id="hello" onClick={() => void hello()}>
        Call the API
      </button>
      <input id="note" aria-label="Note" value={text} onChange={(event) => setText(event.target.value)} />
      <button id="write" onClick={() => void keep()} disabled={text === ""}>
        Write a note
      </button>
      <p id="answer" aria-live="polite">
        {answer}
      </p>
    </section>
  );
}
