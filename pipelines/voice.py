"""A quiet made-up voice for the demo's driver: it sounds while the jaw is open, so that sync can be heard."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.motion.script import Script, curves

SAMPLE_RATE_HZ = 44100
PITCH_HZ = 165.0
LOUDNESS = 0.22
"""Highest share of full scale."""
_HARMONICS = 14


def voice(script: Script) -> NDArray[np.int16]:
    """Samples (N,) of a tone for a script, as long as its frames; a wider jaw is louder and brighter."""
    curve = curves(script)
    frames = len(curve.jaw)
    count = round(frames / script.rate * SAMPLE_RATE_HZ)
    time_s, frame_s = np.arange(count) / SAMPLE_RATE_HZ, np.arange(frames) / float(script.rate)
    spoken = np.clip(np.interp(time_s, frame_s, curve.jaw), 0.0, 1.0)
    # The turn of the head makes the melody.
    sway = np.interp(time_s, frame_s, curve.yaw_deg / max(float(np.abs(curve.yaw_deg).max()), 1.0))
    pitch_hz = PITCH_HZ * (1.0 + 0.12 * sway + 0.1 * spoken)
    phase = 2.0 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    sound = np.zeros(count)
    # The mouth's first resonance, in Hz, rises as it opens.
    resonance_hz = 350.0 + 550.0 * spoken
    for number in range(1, _HARMONICS + 1):
        weight = 0.05 / number + np.exp(-(((number * pitch_hz - resonance_hz) / 260.0) ** 2)) / np.sqrt(
            number
        )
        sound += weight * np.sin(number * phase)
    sound *= spoken**0.7
    sound *= LOUDNESS / max(float(np.abs(sound).max()), 1e-6)
    return np.asarray(np.round(sound * 32767.0), np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write samples (N,) as a mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
