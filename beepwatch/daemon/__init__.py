"""The processes: sound comes in at the recorder, alerts go out at the messenger,
and the supervisor between them keeps the queue and everybody alive."""
