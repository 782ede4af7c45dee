// Sends changes to the server in the order they were made, again and again until it has them.

const AGAIN_MS = 1500;

export class Saver {
  #waiting = []; // batches of {clip, seen, label}
  #sending = false;

  // `refused` is told what another page said of a clip first, and which clips are there no more;
  // `stands` how saving stands:
  // ("saved"), ("waiting"), or ("failed", why).
  constructor(refused, stands) {
    this.refused = refused;
    this.stands = stands;
    addEventListener("beforeunload", (event) => {
      if (this.#waiting.length > 0) event.preventDefault();
    });
  }

  push(changes) {
    if (changes.length === 0) return;
    this.#waiting.push(changes);
    this.stands("waiting");
    this.#send();
  }

  // Clips whose label here is newer than what the server says.
  awaits(clip) {
    return this.#waiting.some((batch) => batch.some((change) => change.clip === clip));
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#waiting.length > 0) {
      const taken = this.#waiting.length;
      const answer = await sent(joined(this.#waiting));
      if (answer.error !== undefined) {
        this.stands("failed", answer.error);
        await new Promise((done) => setTimeout(done, AGAIN_MS));
        continue;
      }
      this.#waiting.splice(0, taken);
      this.refused(answer.refused, answer.gone);
    }
    this.#sending = false;
    this.stands("saved");
  }
}

// One change a clip, from what was seen first to what was said last.
function joined(batches) {
  const changes = new Map();
  for (const { clip, seen, label } of batches.flat()) {
    changes.set(clip, { clip, seen: changes.get(clip)?.seen ?? seen, label });
  }
  return [...changes.values()];
}

async function sent(changes) {
  try {
    const response = await fetch("/labels", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(changes),
      keepalive: changes.length < 200,
    });
    const answer = await response.json();
    return response.ok ? answer : { error: answer.error ?? `error ${response.status}` };
  } catch {
    return { error: "beepwatch does not answer. Start it again; this page will go on." };
  }
}
