#!/usr/bin/env python3
"""Checks that includes go one way: the layers of broker/, the programs above them, and no circles.

    tests/includes.py

A unit is a .c file and the .h file of its name. Exit status 1, and a line for each fault, if a file
includes what its layer may not know, or if units include each other in a circle.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What each folder may include, beside itself.
LAYERS = {
    "broker/base": [],
    "broker/message": ["broker/base"],
    "broker/packet": ["broker/base", "broker/message"],
    "broker/seal": ["broker/base", "broker/message"],
    "broker/nats": ["broker/base", "broker/message"],
    "broker/web": ["broker/base"],
    "broker/sql": ["broker/base", "broker/message", "broker/seal"],
    "broker/rail": ["broker/base", "broker/message", "broker/packet", "broker/nats"],
    "broker/run": ["broker/base", "broker/message", "broker/nats", "broker/web", "broker/rail"],
}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
LIBRARIES = {  # a header of a library, and the only folder that may include it
    "nats/nats.h": "broker/nats",
    "llhttp.h": "broker/web",
    "libpq-fe.h": "broker/sql",
}


def sources():
    for folder in ("broker", "workers", "gateway", "clients"):
        yield from sorted((ROOT / folder).rglob("*.[ch]"))


def may_include(folder, other):
    if folder == other or other.startswith(folder + "/") or folder.startswith(other + "/"):
        return True
    if folder in LAYERS:
        return other in LAYERS[folder]
    return other.startswith("broker/")  # a program: every layer, and no other program


def circles(edges):
    """The strongly connected components of more than one unit (Tarjan's algorithm, iterative)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []
    for root in sorted(edges):
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            unit, others = work[-1]
            for other in others:
                if other not in edges:
                    continue
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(sorted(edges[other]))))
                    break
                if other in on_stack:
                    low[unit] = min(low[unit], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[unit])
                if low[unit] == index[unit]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == unit:
                            break
                    if len(component) > 1:
                        found.append(sorted(component))
    return found


def edges_of():
    """unit -> the units that it includes."""
    edges = {}
    for path in sources():
        unit = str(path.relative_to(ROOT).with_suffix(""))
        edges.setdefault(unit, set())
        for include in INCLUDE.findall(path.read_text()):
            if (ROOT / include).exists():  # else it is made by the build
                edges[unit].add(str(pathlib.PurePath(include).with_suffix("")))
        edges[unit].discard(unit)
    return edges


def check():
    faults = []
    for path in sources():
        name = path.relative_to(ROOT)
        folder = str(name.parent)
        text = path.read_text()
        for include in INCLUDE.findall(text):
            if (ROOT / include).exists() and not may_include(
                folder, str(pathlib.PurePath(include).parent)
            ):
                faults.append(f"{name} may not include {include}")
        for header, owner in LIBRARIES.items():
            if re.search(rf"^#include <{re.escape(header)}>", text, re.MULTILINE) and folder != owner:
                faults.append(f"{name} may not include <{header}>: only {owner} does")
    faults += ["a circle: " + " ".join(units) for units in circles(edges_of())]
    return faults


if __name__ == "__main__":
    found = check()
    print("\n".join(found) if found else "includes go one way")
    sys.exit(1 if found else 0)
