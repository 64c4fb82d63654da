"""Send an audio file to a WHIP endpoint with FFmpeg's own muxer (PyAV carries it), in real time.

Usage: whip_ffmpeg.py WHIP_URL SESSION_TOKEN FILE
"""

import datetime
import sys
import tempfile
import time
from pathlib import Path

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def write_identity(folder: Path) -> dict[str, str]:
    """A DTLS certificate on P-256: a muxer built with GnuTLS makes one on P-224, which OpenSSL 4 refuses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whip")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"cert_file": str(folder / "certificate.pem"), "key_file": str(folder / "key.pem")}


def send(url: str, token: str, path: str) -> None:
    """Encode `path` as 48 kHz stereo Opus, as the muxer demands, and send it at the pace of speech."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"authorization": token, **write_identity(Path(folder))}
        with av.open(path) as source, av.open(url, "w", format="whip", options=options) as sink:
            stream = sink.add_stream("libopus", rate=48_000, layout="stereo", bit_rate=32_000)
            resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000, frame_size=960)
            started, sent = time.monotonic(), 0
            for decoded in [*source.decode(audio=0), None]:
                for frame in resampler.resample(decoded):
                    sink.mux(stream.encode(frame))
                    sent += frame.samples
                    time.sleep(max(0.0, started + sent / 48_000 - time.monotonic()))
            sink.mux(stream.encode(None))


if __name__ == "__main__":
    send(*sys.argv[1:4])
