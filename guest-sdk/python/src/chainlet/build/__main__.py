"""The command line of the builder: `python -m chainlet.build describe FILE` and `component FILE:CLASS --out X.wasm`.

stdout has the answer, stderr the problems. The exit code is 0 if all went well, 1 for a mistake of the user, 2 for a
wrong command line, and 4 if componentize-py failed for another reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .component import BuildFailed, build_component
from .describe import describe
from .package import of_chain
from .problem import Problem


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "describe":
            return _describe(options)
        return _component(options)
    except Problem as problem:
        if options.json:
            print(json.dumps({"error": problem.to_json()}, ensure_ascii=False))
        print(problem, file=sys.stderr)
        return 1
    except BuildFailed as error:
        print(f"{error}\nhelp: {error.help}", file=sys.stderr)
        return 4


def _describe(options: argparse.Namespace) -> int:
    description = describe(options.file)
    for warning in description.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps(description.to_json(), ensure_ascii=False, indent=2))
    else:
        print(of_chain(description.chainlets), end="")
    return 0


def _component(options: argparse.Namespace) -> int:
    file, colon, cls = options.chainlet.rpartition(":")
    if not colon or not cls.isidentifier():
        raise Problem(f"{options.chainlet!r} names no chainlet", "write FILE.py:CLASS, such as chain.py:SayHello")
    built = build_component(
        Path(file), cls, options.out, live=options.live, sites=options.site, wit_dir=options.wit_dir
    )
    if options.json:
        print(json.dumps(built.to_json()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chainlet.build", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    describing = commands.add_parser("describe", help="print the WIT, or with --json all that the file declares")
    describing.add_argument("file", type=Path, metavar="FILE")
    building = commands.add_parser("component", help="make the component of one chainlet")
    building.add_argument("chainlet", metavar="FILE:CLASS")
    building.add_argument("--out", type=Path, required=True, metavar="X.wasm")
    building.add_argument("--wit-dir", type=Path, help="also write the WIT that the component is made of there")
    building.add_argument(
        "--live", action="store_true", help="load the sources when an instance starts, from the folder /source"
    )
    building.add_argument(
        "--site",
        type=Path,
        action="append",
        help="a folder of installed packages; by default that of the Python that runs this command",
    )
    for command in (describing, building):
        command.add_argument("--json", action="store_true", help="write the answer, or the error, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
