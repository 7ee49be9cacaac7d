"""The protobuf contract as Python modules, generated into build/python when it has changed.

    import contract
    packet_pb2 = contract.load("packet")
"""

import importlib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "proto"
TARGET = ROOT / "build" / "python"


def generate():
    sources = sorted(SOURCE.glob("handoffrail/v1/*.proto"))
    newest = max(source.stat().st_mtime for source in sources)
    made = [TARGET / "handoffrail/v1" / (source.stem + "_pb2.py") for source in sources]
    if all(file.exists() and file.stat().st_mtime > newest for file in made):
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["protoc", f"--python_out={TARGET}", f"-I{SOURCE}", *map(str, sources)],
        check=True,
    )


def load(name):
    """name: of a file in proto/handoffrail/v1, without its ending."""
    generate()
    if str(TARGET) not in sys.path:
        sys.path.insert(0, str(TARGET))
    return importlib.import_module(f"handoffrail.v1.{name}_pb2")
