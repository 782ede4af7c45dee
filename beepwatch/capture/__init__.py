"""In: a microphone, a file, a network stream or raw PCM. Out: windows worth hearing, quiet gaps of
known length, and what is wrong with the input."""
