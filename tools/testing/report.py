# SPDX-License-Identifier: GPL-2.0
"""The results of tests that are made of parts, as XML in JUnit's form.

    report.py RESULTS LOGS >REPORT

RESULTS has a line for each part: its name, how many passed and failed, its seconds, and what
else parts.sh writes. LOGS is the directory where what a part printed is test-NAME.txt.
"""

import pathlib
import re
import sys
from xml.etree import ElementTree

# Results as our scripts, cargo and mainline's selftests print them.
LINES = [
    re.compile(r"(?P<verdict>ok|not ok) \d+ (?P<name>.*)"),
    re.compile(r"test (?P<name>.*) \.\.\. (?P<verdict>ok|FAILED)"),
    re.compile(r"TEST: (?P<name>.*) \.\.\. (?P<verdict>ok|not ok)"),
]
# cargo's output is long: what is shown of it does not name what passes.
LOG_OF = {"host": "cargo-test.txt"}
# So much of what a part printed is shown where it does not say what failed.
TAIL = 40
# What XML 1.0 has no way to write.
FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd]")


def cases(lines):
    """Pairs of a name and what stands after a failure, None for what passed."""
    found = []
    for line in lines:
        match = next(filter(None, (pattern.fullmatch(line) for pattern in LINES)), None)
        if match:
            found.append((match["name"], None if match["verdict"] == "ok" else []))
        elif found and line.startswith("# ") and found[-1][1] is not None:
            found[-1][1].append(line[2:])
    return found


def add(suite, name, failure):
    case = ElementTree.SubElement(suite, "testcase", classname=suite.get("name"), name=FORBIDDEN.sub("?", name))
    if failure is not None:
        text = FORBIDDEN.sub("?", "\n".join(failure))
        ElementTree.SubElement(case, "failure", message=text.split("\n")[0]).text = text


def suite(parent, name, passed, failed, seconds, logs):
    log = logs / LOG_OF.get(name, f"test-{name}.txt")
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    element = ElementTree.SubElement(parent, "testsuite", name=name, time=seconds)
    found = cases(lines)
    for case in found:
        add(element, *case)
    # Some parts only count.
    bad = sum(failure is not None for _, failure in found)
    if passed > len(found) - bad:
        add(element, f"{passed - len(found) + bad} results that are counted only", None)
    if failed > bad:
        add(element, f"{failed - bad} failures that are counted only", lines[-TAIL:])
    element.set("tests", str(len(element)))
    element.set("failures", str(max(failed, bad)))


def main():
    results, logs = map(pathlib.Path, sys.argv[1:])
    root = ElementTree.Element("testsuites")
    for line in results.read_text().splitlines():
        name, passed, failed, seconds = line.split()[:4]
        suite(root, name, int(passed), int(failed), seconds, logs)
    ElementTree.indent(root)
    print(ElementTree.tostring(root, encoding="unicode", xml_declaration=True))


if __name__ == "__main__":
    main()
