"""Compares docs/components.md with what the components that ship declare: components_page.py BISSL

The tables between the lines `<!-- declared: KIND -->` and `<!-- end -->` are made from `bissl
describe --json`. Exits with 1 and a difference where one is stale, where a kind has no such lines,
or where a component is missing. `components_page.py BISSL --write` writes the page anew.
"""

import difflib
import json
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "components.md"
BLOCK = re.compile(r"(<!-- declared: ([a-z]+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def meaning(parameter):
    text = parameter["doc"]
    if parameter["unit"] and parameter["unit"] != "path":
        text += f" ({parameter['unit']})"
    for condition in parameter.get("only", []):
        text += f"; only {condition}"
    if parameter.get("execution_only"):
        text += "; changes no result"
    return text


def default(parameter):
    if parameter["required"]:
        return "required"
    return "–" if parameter["default"] is None else f"`{json.dumps(parameter['default'], ensure_ascii=False)}`"


def table(parameters):
    if not parameters:
        return "No parameters.\n"
    lines = ["| parameter | accepts | default | meaning |", "| --- | --- | --- | --- |"]
    for parameter in parameters:
        cells = [f"`{parameter['name']}`", parameter["accepted"], default(parameter),
                 meaning(parameter)]
        lines.append(f"| {' | '.join(cell(text) for text in cells)} |")
    return "\n".join(lines) + "\n"


def described(components):
    """Those of one kind. Components that differ in name and summary alone share a table."""
    groups = {}
    for component in components:
        key = (component["library"]["name"], json.dumps(component["parameters"]))
        groups.setdefault(key, []).append(component)
    text = ""
    for group in groups.values():
        text += "\n"
        for component in group:
            source = f" ({component['source']})" if component["source"] else ""
            takes = f"; takes {', '.join(component['takes'])} targets" if component["takes"] else ""
            text += f"**`{component['name']}`**: {component['summary']}{source}{takes}\n\n"
        text += table(group[0]["parameters"])
    return text + "\n"


def main():
    call = [sys.argv[1], "--no-third-party", "describe", "--json"]
    output = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    kinds = {}
    for component in json.loads(output)["components"]:
        kinds.setdefault(component["kind"], []).append(component)
    page = PAGE.read_text(encoding="utf-8")
    places = [match.group(2) for match in BLOCK.finditer(page)]
    wrong = [f"{PAGE}: no lines `<!-- declared: {kind} -->` and `<!-- end -->`"
             for kind in kinds if places.count(kind) != 1]
    wrong += [f"{PAGE}: there is no component of kind {kind}"
              for kind in places if kind not in kinds]
    if wrong:
        sys.exit("\n".join(wrong))
    made = BLOCK.sub(lambda m: m.group(1) + described(kinds[m.group(2)]) + m.group(4), page)
    if sys.argv[2:] == ["--write"]:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        print(*difflib.unified_diff(page.splitlines(), made.splitlines(), str(PAGE), "declared",
                                    lineterm=""), sep="\n")
        sys.exit(f"{PAGE} is stale; write it anew: python3 {__file__} {sys.argv[1]} --write")


main()
