// Plays clips, one at a time, from memory: a clip that is gone to starts within a frame.

const KEPT = 120; // decoded clips; three seconds are half a megabyte
const LOUD = 0.5; // peak of what is played, so that the faint ones can be heard
const MOST_GAIN = 16;

export class Player {
  #context = null;
  #clips = new Map(); // id to a promise of its sound, the one asked for last at the end
  #source = null;
  #turn = 0;

  constructor(shown) {
    this.shown = shown; // told (clip, fraction) on every frame, and (clip, null) at the end
    this.on = true;
  }

  get #ready() {
    this.#context ??= new AudioContext();
    return this.#context;
  }

  // Whether the browser lets it sound: it waits for a first key or click.
  async allowed() {
    if (this.#ready.state !== "running") {
      await Promise.race([this.#ready.resume(), new Promise((done) => setTimeout(done, 300))]);
    }
    return this.#ready.state === "running";
  }

  fetched(clip) {
    let sound = this.#clips.get(clip);
    this.#clips.delete(clip);
    sound ??= fetch(`/clips/${clip}/sound.wav`, { priority: "high" })
      .then((answer) => (answer.ok ? answer.arrayBuffer() : Promise.reject(new Error("no sound"))))
      .then((bytes) => this.#ready.decodeAudioData(bytes));
    sound.catch(() => this.#clips.delete(clip));
    this.#clips.set(clip, sound);
    if (this.#clips.size > KEPT) this.#clips.delete(this.#clips.keys().next().value);
    return sound;
  }

  stop() {
    this.#turn += 1;
    this.#source?.stop();
    this.#source = null;
  }

  // True once it sounds, false when something else was asked for meanwhile or it may not.
  async play(clip) {
    this.stop();
    if (!this.on) return true;
    const turn = this.#turn;
    const [sound, allowed] = await Promise.all([this.fetched(clip), this.allowed()]);
    if (turn !== this.#turn || !allowed) return allowed;
    const source = new AudioBufferSourceNode(this.#ready, { buffer: sound });
    const gain = new GainNode(this.#ready, { gain: gainFor(sound) });
    source.connect(gain).connect(this.#ready.destination);
    source.onended = () => {
      if (this.#source === source) this.#source = null;
      this.shown(clip, null);
    };
    this.#source = source;
    const began = this.#ready.currentTime;
    const draw = () => {
      if (this.#source !== source) return;
      this.shown(clip, Math.min((this.#ready.currentTime - began) / sound.duration, 1));
      requestAnimationFrame(draw);
    };
    source.start();
    draw();
    return true;
  }

  get playing() {
    return this.#source !== null;
  }
}

function gainFor(sound) {
  const peak = sound.getChannelData(0).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  return Math.min(LOUD / Math.max(peak, 1e-6), MOST_GAIN);
}
