"""Write golden.npz with librosa: V/bin/python tests/train/featuring/make_golden.py.

V is an environment of its own with `pip install librosa` (0.11.0 made the file that is here).
The parameters are those of `OF_SLANEY` and `OF_HTK` in test_golden.py.
"""

from pathlib import Path

import librosa  # type: ignore[import-not-found]  # in an environment of its own
import numpy as np

RATE_HZ = 16_000
SIZE, WINDOW, HOP = 512, 400, 256


def sound() -> np.ndarray:
    """Digital silence, a rising tone over faint hiss, hiss and a click, as 16 bits have them."""
    rng = np.random.default_rng(6)
    time_s = np.arange(6_000) / RATE_HZ
    tone = 0.4 * np.sin(2 * np.pi * (300 * time_s + 4_000 * time_s**2))
    hiss = rng.normal(0, 0.03, 1_600)
    faint = rng.normal(0, 0.003, 6_000)
    whole = np.concatenate([np.zeros(1_200), tone + faint, hiss])
    whole[7_900] = 0.9
    return np.round(whole * 32_767).astype(np.int16)


def pure() -> np.ndarray:
    """A tone and nothing else but the rounding of 16 bits, nearly 100 dB below it."""
    tone = 0.9 * np.sin(2 * np.pi * 440 * np.arange(2_600) / RATE_HZ)
    return np.round(tone * 32_767).astype(np.int16)


def slaney(y: np.ndarray) -> dict[str, np.ndarray]:
    """Decibels of 40 bands, everything centred over zeros."""
    cut = {"n_fft": SIZE, "hop_length": HOP, "win_length": WINDOW, "window": "hann"}
    spectrum = librosa.stft(y, **cut, center=True, pad_mode="constant")
    magnitude = np.abs(spectrum)
    mel = librosa.feature.melspectrogram(
        S=magnitude**2, sr=RATE_HZ, n_mels=40, fmin=60, fmax=7_600, htk=False, norm="slaney"
    )
    logmel = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None)
    mfcc = librosa.feature.mfcc(S=logmel, n_mfcc=13, dct_type=2, norm="ortho", lifter=22)
    whole = np.pad(y, SIZE // 2)
    return {
        "logmel": logmel,
        "mfcc": mfcc,
        "mfcc_delta1": librosa.feature.delta(mfcc, width=9, order=1, mode="interp"),
        "mfcc_delta2": librosa.feature.delta(mfcc, width=9, order=2, mode="interp"),
        "magnitude": magnitude,
        "phase": np.angle(spectrum),
        "centroid": librosa.feature.spectral_centroid(S=magnitude, sr=RATE_HZ),
        "bandwidth": librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE_HZ, p=2),
        "rolloff": librosa.feature.spectral_rolloff(S=magnitude, sr=RATE_HZ, roll_percent=0.85),
        "chroma": librosa.feature.chroma_stft(S=magnitude**2, sr=RATE_HZ, n_chroma=12, tuning=0.0),
        "zero_crossings": librosa.feature.zero_crossing_rate(
            whole, frame_length=SIZE, hop_length=HOP, center=False
        ),
        "rms": librosa.feature.rms(
            y=whole, frame_length=SIZE, hop_length=HOP, center=False, pad_mode="constant"
        ),
    }


def htk(y: np.ndarray) -> dict[str, np.ndarray]:
    """Natural logarithms of magnitudes in 24 bands, frames that begin at their samples."""
    cut = {"n_fft": SIZE, "hop_length": HOP, "win_length": SIZE, "window": "hamming"}
    magnitude = np.abs(librosa.stft(y, **cut, center=False))
    mel = librosa.feature.melspectrogram(
        S=magnitude, sr=RATE_HZ, n_mels=24, fmin=0, fmax=8_000, htk=True, norm=None
    )
    logmel = np.log(np.maximum(mel, 1e-5))
    mfcc = librosa.feature.mfcc(S=logmel, n_mfcc=10, dct_type=2, norm=None)
    return {
        "logmel": logmel,
        "mfcc": mfcc,
        "mfcc_delta1": librosa.feature.delta(mfcc, width=5, order=1, mode="nearest"),
        "chroma": librosa.feature.chroma_stft(
            S=magnitude, sr=RATE_HZ, n_chroma=12, tuning=0.0, norm=2
        ),
    }


def reflected(y: np.ndarray) -> np.ndarray:
    """Magnitudes of centred frames over the sound's mirror image."""
    spectrum = librosa.stft(y, n_fft=SIZE, hop_length=HOP, window="blackman", pad_mode="reflect")
    return np.asarray(np.abs(spectrum))


def main() -> None:
    """Write the file beside this one; arrays are [columns, frames] as librosa has them."""
    pcm = sound()
    y = pcm / 32_768  # float64, so that what is here is the truth and not another rounding
    found = {"sound": pcm, "pure": pure(), "reflect/magnitude": reflected(y).astype(np.float32)}
    of_tone = slaney(pure() / 32_768)
    found |= {f"tone/{key}": of_tone[key].astype(np.float32) for key in ("logmel", "mfcc")}
    for name, arrays in (("slaney", slaney(y)), ("htk", htk(y))):
        found |= {f"{name}/{key}": value.astype(np.float32) for key, value in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("golden.npz"), **found)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
