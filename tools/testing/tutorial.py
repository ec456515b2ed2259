#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Take the commands out of a tutorial, and compare what they print with what it shows.

Usage: tutorial.py script PROMPT DOCUMENT
       tutorial.py check DOCUMENT OUTPUT...

In blocks that are marked as `console`, lines that begin with a prompt ($ or #) are
commands, and what follows one is what it prints; nothing is compared where nothing
follows. `...` alone in a line stands for any lines, within a line for any text. A block
after `<!-- file: PATH -->` is what $ commands find in that file from there on.

`script` prints a bash script that runs the commands of one prompt one after the other,
in one shell, and marks what each prints. `check` reads what these scripts have printed,
and prints a line for each command and the totals; the status is 0 if all is as shown.
"""

import re
import shlex
import sys

MARK = "=== tutorial"


class Step:
    """A command, or a file that is written."""

    def __init__(self, prompt, line, command):
        self.prompt = prompt
        self.line = line
        self.command = command
        self.shown = []

    def expression(self):
        """What the output has to match."""
        text = ""
        for line in self.shown:
            if line == "...":
                text += r"(?:.*\n)*?"
            else:
                text += ".*?".join(re.escape(part) for part in line.split("...")) + r"\n"
        return re.compile(text)


def steps(document):
    """The steps of a document."""
    found = []
    kind, contents, path = None, [], None
    with open(document, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if kind is None:
                if line.startswith("```"):
                    kind, contents = line[3:], []
                elif line.startswith("<!-- file: "):
                    path = line.split()[2]
                elif path and line.strip():
                    sys.exit(f"{document}:{number}: a block was to follow, for {path}")
            elif line == "```":
                if path:
                    text = shlex.quote("\n".join(contents) + "\n")
                    found.append(Step("$", number, f"printf %s {text} >{shlex.quote(path)}"))
                    path = None
                kind = None
            elif kind != "console" or path:
                contents.append(line)
            elif line[:2] in ("$ ", "# "):
                found.append(Step(line[0], number, line[2:]))
            elif found:
                found[-1].shown.append(line)
    return found


def script(prompt, document):
    """Print a script."""
    for number, step in enumerate(steps(document)):
        if step.prompt == prompt:
            print(f"echo '{MARK} {number}'")
            print(f"{{ {step.command}\n}} 2>&1 </dev/null")
            print(f"printf '\\n{MARK} {number} status %s\\n' $?")


def outputs(files):
    """What each step has printed, and its status."""
    found = {}
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as text:
            text = text.read()
        for match in re.finditer(rf"^{MARK} (\d+)\n(.*?)\n{MARK} \1 status (\d+)$", text, re.M | re.S):
            found[int(match[1])] = (match[2], int(match[3]))
    return found


def check(document, files):
    """Compare."""
    printed = outputs(files)
    passed = failed = 0
    for number, step in enumerate(steps(document)):
        wrong = None
        if number not in printed:
            wrong = "it was not run to its end"
        else:
            text, status = printed[number]
            if text and not text.endswith("\n"):
                text += "\n"
            if status:
                wrong = f"it ended with status {status}"
            elif step.shown and not step.expression().fullmatch(text):
                wrong = "it printed something else"
        name = step.command.split("\n")[0]
        if wrong is None:
            passed += 1
            print(f"ok {passed + failed} {step.prompt} {name}")
            continue
        failed += 1
        print(f"not ok {passed + failed} {step.prompt} {name}")
        print(f"# {document}:{step.line}: {wrong}")
        if number in printed:
            for line in printed[number][0].splitlines()[-30:]:
                print(f"#   | {line}")
            for line in step.shown:
                print(f"#   wanted: {line}")
    print(f"{passed} passed, {failed} failed")
    return passed > 0 and failed == 0


def main(arguments):
    """The command line."""
    if len(arguments) == 3 and arguments[0] == "script":
        script(*arguments[1:])
    elif len(arguments) >= 3 and arguments[0] == "check":
        sys.exit(not check(arguments[1], arguments[2:]))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
