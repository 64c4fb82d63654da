"""Engines that know what is said: `replay` from a visit's script, and a server that answers with it."""

import io
import json
import threading
import wave
from collections.abc import Sequence
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fieldcoach.asr.engines.base import HeardWord, Hypothesis, Segment, decode_or_none

from .asr_bench import Samples, load_visit


class ReplayEngine:
    """Says the words of a script that lie in a segment, each at its place; lines are spread by letters."""

    name = "replay"
    languages: tuple[str, ...] = ("en",)
    can_retry = False
    takes_hot_words = False
    is_remote = False

    def __init__(self, visit: str) -> None:
        self.model = visit
        self.samples, lines = load_visit(visit)
        self._words = [word for line in lines for word in words_of(line)]

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def decode_many(self, segments: Sequence[Segment]) -> list[Hypothesis | None]:
        return [decode_or_none(self, segment) for segment in segments]

    def decode(self, segment: Segment) -> Hypothesis:
        first, end = segment.first_sample, segment.first_sample + len(segment.pcm)
        words = tuple(
            HeardWord(word.text, word.start - first, word.end - first, 1.0)
            for word in self._words
            if first <= word.start and word.end <= end
        )
        return Hypothesis(" ".join(word.text for word in words), words=words)


def words_of(line: dict[str, Any]) -> list[HeardWord]:
    text = str(line["text"]).split()
    letters = sum(map(len, text))
    at, found = float(line["start"]), []
    for word in text:
        length = (float(line["end"]) - float(line["start"])) * len(word) / letters
        found.append(HeardWord(word, round(at * 16_000), round((at + length) * 16_000), 1.0))
        at += length
    return found


class TranscriptionServer:
    """Speaks OpenAI's transcription API: finds an upload in a visit, says what is said there.

    `mood` makes it slow, wrong, refusing, cut off or out of patience.
    """

    def __init__(self, visit: str) -> None:
        self.replay = ReplayEngine(visit)
        self.mood = "good"
        self.language = "english"
        self.forms: list[dict[str, Any]] = []
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def stop(self) -> None:
        self.release.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        form = parsed(request.headers["Content-Type"], body)
        self.forms.append(form)
        request.close_connection = True
        match self.mood:
            case "slow":
                self.release.wait(20)
                return
            case "refusing":
                self._send(request, 401, {"error": {"message": "who are you", "type": "auth"}})
            case "broken":
                self._send(request, 500, {"error": {"message": "ten boxes of tea", "type": "server"}})
            case "busy":
                self._send(request, 429, {"error": {"message": "slow down", "type": "rate"}})
            case "wrong":
                self._send(request, 200, {"result": "ten boxes"})
            case "not-json":
                self._send(request, 200, None)
            case "endless":
                self._send(request, 200, {"text": "tea " * 5_000})
            case "cut-off":
                request.send_response(200)
                request.send_header("Content-Type", "application/json")
                request.send_header("Content-Length", "1000")
                request.end_headers()
                request.wfile.write(b'{"text": "ten bo')
            case "plain" if form.get("response_format") == "verbose_json":
                self._send(request, 400, {"error": {"message": "verbose_json is not supported", "type": "x"}})
            case _:
                self._send(request, 200, self._heard(form))

    def _heard(self, form: dict[str, Any]) -> dict[str, Any]:
        with wave.open(io.BytesIO(form["file"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            pcm = file.readframes(file.getnframes())
        at = whole_samples(self.replay.samples).find(pcm) // 2
        if not any(pcm) or at < 0:
            return {"text": ""}
        segment = Segment("", at, self.replay.samples[: len(pcm) // 2].astype("float32"), "en", is_final=True)
        heard = self.replay.decode(segment)
        if form.get("response_format") != "verbose_json":
            return {"text": heard.text}
        words = [
            {"word": word.text, "start": word.start / 16_000, "end": word.end / 16_000}
            for word in heard.words
        ]
        segments = [{"avg_logprob": -0.1, "no_speech_prob": 0.01, "tokens": [1, 2], "id": 0}]
        return {
            "text": heard.text,
            "words": words,
            "segments": segments,
            "language": self.language,
            "duration": 1.0,
        }

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: dict[str, Any] | None) -> None:
        raw = b"<html>" if body is None else json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)


def whole_samples(samples: Samples) -> bytes:
    return samples.astype("<i2").tobytes()


def parsed(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a multipart form."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    form: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        form[str(name)] = payload if name == "file" else payload.decode()
    return form
