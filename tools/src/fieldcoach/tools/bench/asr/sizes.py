"""What a decode costs at Whisper's real sizes, with random weights: `python -m …bench.asr.sizes`.

The weights of a matrix change nothing about the time of a product, so cost can be measured where no model can
be had. Words can't: the decoder is made to say as many tokens as English speech has. Prints one line of JSON.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from ..measured_process import run_measured

SIZES: Final = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}
"""Width, layers of each half, heads."""
VOCABULARY: Final = 51_865
FULL_S: Final = 30
ADAPTIVE_S: Final = 5
"""The bucket of an utterance of 3 s."""
UTTERANCE_S: Final = 3.0
TOKENS_PER_S: Final = 3.2
"""Of English speech."""
ROUNDS: Final = 2
SPECIAL: Final = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|transcribe|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)


def main() -> None:
    """Build, measure, print."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="fieldcoach-bench-") as folder:
        for name, (width, layers, heads) in SIZES.items():
            directory = Path(folder) / name
            build(directory, width, layers, heads)
            found[name] = _measure(directory)
    print(json.dumps(found))


def build(directory: Path, width: int, layers: int, heads: int) -> None:
    """A Whisper of this size with random weights, int8, in CTranslate2's format."""
    import numpy as np
    from ctranslate2.specs.whisper_spec import WhisperConfig, WhisperSpec

    random = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return (random.standard_normal(shape, np.float32) * 0.02).astype(np.float32)

    def norm(spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def linear(spec: Any, rows: int, columns: int) -> None:
        spec.weight, spec.bias = weights(rows, columns), np.zeros(rows, np.float32)

    def feed_forward(spec: Any) -> None:
        norm(spec.layer_norm)
        linear(spec.linear_0, 4 * width, width)
        linear(spec.linear_1, width, 4 * width)

    spec = WhisperSpec(layers, heads, layers, heads)
    for conv, inputs in ((spec.encoder.conv1, 80), (spec.encoder.conv2, width)):
        conv.weight, conv.bias = weights(width, inputs, 3), np.zeros(width, np.float32)
    spec.encoder.position_encodings.encodings = weights(1_500, width)
    spec.decoder.position_encodings.encodings = weights(448, width)
    spec.decoder.embeddings.weight = weights(VOCABULARY, width)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    norm(spec.encoder.layer_norm)
    norm(spec.decoder.layer_norm)
    for layer in [*spec.encoder.layer, *spec.decoder.layer]:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * width, width)
        linear(layer.self_attention.linear[1], width, width)
        feed_forward(layer.ffn)
    for layer in spec.decoder.layer:
        norm(layer.attention.layer_norm)
        linear(layer.attention.linear[0], width, width)
        linear(layer.attention.linear[1], 2 * width, width)
        linear(layer.attention.linear[2], width, width)
    plain = VOCABULARY - len(SPECIAL)
    spec.register_vocabulary([*(f"t{n}" for n in range(plain)), *SPECIAL])
    english = plain + SPECIAL.index("<|en|>")
    spec._config = WhisperConfig(
        suppress_ids=[], suppress_ids_begin=[], lang_ids=[english, english], alignment_heads=[(0, 0)]
    )
    spec.validate()
    spec.optimize(quantization="int8")
    directory.mkdir(parents=True)
    spec.save(str(directory))


def _measure(directory: Path) -> dict[str, Any]:
    import ctranslate2

    model = ctranslate2.models.Whisper(
        str(directory), device="cpu", compute_type="int8", inter_threads=1, intra_threads=1
    )
    full, adaptive = _decode_s(model, FULL_S), _decode_s(model, ADAPTIVE_S)
    return {
        "full_s": round(full / UTTERANCE_S, 4),
        "adaptive_s": round(adaptive / UTTERANCE_S, 4),
        "ratio": round(full / adaptive, 1),
    }


def _decode_s(model: Any, window_s: int) -> float:
    """CPU seconds of one decode of a typical utterance in a window."""
    import ctranslate2
    import numpy as np

    tokens = round(UTTERANCE_S * TOKENS_PER_S)
    plain = VOCABULARY - len(SPECIAL)
    prompt = [plain + SPECIAL.index(name) for name in SPECIAL[1:4] + SPECIAL[6:]]
    mel = np.random.default_rng(1).standard_normal((1, 80, 100 * window_s), np.float32)
    before = 0.0
    for turn in range(ROUNDS + 1):
        if turn == 1:  # the first one warms up
            before = time.process_time()
        encoded = model.encode(ctranslate2.StorageView.from_array(mel))
        model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=2 * tokens,
            suppress_tokens=[plain],  # it would not know when to end
        )
    return (time.process_time() - before) / ROUNDS


async def run_sizes() -> dict[str, Any]:
    """CPU seconds per second of speech, by size: the full window and the adaptive one.

    Raises:
        BenchError: it failed; with its last words.
    """
    return await run_measured("fieldcoach.tools.bench.asr.sizes", "the random models")


if __name__ == "__main__":
    main()
