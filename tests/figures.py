#!/usr/bin/env python3
"""Prints figures on the shape of the code: tests/figures.py [--check] [ROOT]

--check ends with status 1 if a bound is broken: the longest file, an include circle, comments.
Product code is broker/, workers/, gateway/ and clients/ without what is generated.
"""

import argparse
import collections
import pathlib
import re
import sys

import includes

FOLDERS = ("broker", "workers", "gateway", "clients")
FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 60
COMMENT_PERCENT_MIN = 7.0
RUN = 6  # lines that are equal, one behind the other


def files_of(root, ending="*.[ch]"):
    for folder in FOLDERS:
        yield from sorted((root / folder).rglob(ending))


def functions_of(lines):
    """(name, lines) of every function: from the line of its name to the brace in column 0."""
    start = None
    for number, line in enumerate(lines):
        if re.match(r"[A-Za-z_].*\(", line) and not line.rstrip().endswith(";"):
            start = number
        elif line == "}" and start is not None:
            name = re.search(r"(\w+)\(", lines[start]).group(1)
            yield name, number - start + 1
            start = None
        elif line.startswith("}"):
            start = None


def is_comment(line):
    return line.lstrip().startswith(("//", "/*", "*"))


def repeated_runs(texts):
    """How many places start a run of RUN equal lines that is somewhere else as well."""
    places = collections.Counter()
    for lines in texts:
        solid = [line.strip() for line in lines if line.strip()]
        solid = [line for line in solid if not line.startswith("#include")]
        for i in range(len(solid) - RUN + 1):
            places["\n".join(solid[i : i + RUN])] += 1
    return sum(count for count in places.values() if count > 1)


def circles(root):
    includes.ROOT = root
    return len(includes.circles(includes.edges_of()))


def measure(root):
    texts = {path: path.read_text().split("\n") for path in files_of(root)}
    c_texts = {path: lines for path, lines in texts.items() if path.suffix == ".c"}
    functions = [
        (length, name, path.relative_to(root))
        for path, lines in c_texts.items()
        for name, length in functions_of(lines)
    ]
    c_lines = [line for lines in c_texts.values() for line in lines if line.strip()]
    longest = max((len(lines), path.relative_to(root)) for path, lines in texts.items())
    return {
        "product files": len(texts),
        "product lines": sum(len(lines) for lines in texts.values()),
        "longest file": longest,
        "files over the bound": sum(len(lines) > FILE_LINES_MAX for lines in texts.values()),
        "longest functions": sorted(functions, reverse=True)[:3],
        "functions over the bound": sum(length > FUNCTION_LINES_MAX for length, *_ in functions),
        "include circles": circles(root),
        "comment lines of .c files, %": round(
            100 * sum(map(is_comment, c_lines)) / len(c_lines), 1
        ),
        "files without an opening comment": sum(
            not lines[0].startswith("//") for lines in texts.values()
        ),
        f"places of repeated runs of {RUN} lines": repeated_runs(texts.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail if a bound is broken")
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=includes.ROOT)
    given = parser.parse_args()
    figures = measure(given.root.resolve())
    for name, value in figures.items():
        print(f"{name:40} {value}")
    broken = (
        figures["files over the bound"]
        + figures["functions over the bound"]
        + figures["include circles"]
    )
    return 1 if given.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
