#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check where `unsafe` stands in Rust sources, and that each has its reason.

Usage: check-unsafe.py FILE...   (paths relative to the top of the checkout)

 - `unsafe` may stand under rust/sys/, the side of livepatch.ko that touches the
   kernel, in rust/api.rs, which patch modules call, and under rust/authors/, the
   library that touches the kernel for patches in Rust.
 - Elsewhere it may stand as `symbols! { unsafe { ... } }`, by which a patch says
   which of the kernel's functions it can call at any time, and before a function
   in `livepatch!`, by which it says which pointers that one is called with: no
   library can know that.
 - `unsafe fn` and `unsafe trait` need a `# Safety` section in their
   documentation; a trait's unsafe method has its contract in the trait, so its
   implementation needs none.
 - Every other `unsafe` needs a `// SAFETY:` comment in the same statement or
   directly before it. A type such as `unsafe extern "C" fn(usize)` needs none.

clippy knows some of these rules; it sees neither where a file lives nor what is
compiled for another architecture only.
"""

import re
import sys

ALLOWED = ("rust/sys/", "rust/api.rs", "rust/authors/")

TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>(?:b|c)?r(?P<hashes>\#*)")
  | (?P<string>(?:b|c)?"(?:\\.|[^"\\])*")
  | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^\\'])')
  | (?P<lifetime>'[^\W\d]\w*)
  | (?P<word>(?:r\#)?\w+)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token:
    """A piece of source that is not white space."""

    def __init__(self, kind, text, line):
        self.kind = kind
        self.text = text
        self.line = line


def block_comment_end(text, start):
    """Block comments nest."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def tokens(text):
    """The tokens of a file, comments included."""
    found = []
    position, line = 0, 1
    while position < len(text):
        match = TOKEN.match(text, position)
        kind, end = match.lastgroup, match.end()
        if kind == "block":
            kind, end = "comment", block_comment_end(text, position)
        elif kind == "raw" or kind == "hashes":
            kind = "string"
            closing = text.find('"' + match.group("hashes"), end)
            end = len(text) if closing < 0 else closing + 1 + len(match.group("hashes"))
        piece = text[position:end]
        if kind != "space":
            found.append(Token(kind, piece, line))
        line += piece.count("\n")
        position = end
    return found


def is_doc(comment):
    """`//!` and `/*!` document what surrounds them, not what follows."""
    return re.match(r"///(?!/)|/\*\*(?![*/])", comment.text) is not None


def comments_before(found, index):
    """The comments between the end of the statement before and found[index]."""
    comments = []
    depth = 0
    for token in reversed(found[:index]):
        if token.kind == "comment":
            comments.append(token)
        elif token.kind == "mark":
            # The `;` of `[u8; 4]` ends no statement.
            if token.text == "]":
                depth += 1
            elif token.text == "[":
                depth = max(0, depth - 1)
            elif token.text in "{}" or (token.text == ";" and depth == 0):
                break
    return comments


# What `unsafe` can stand before in Rust itself.
KEYWORDS = ("fn", "trait", "impl", "extern", "mod")


def is_promise(before, after):
    """Whether it is `[unsafe name(...)` or `, unsafe "name" as`, as in `livepatch!`."""
    return (
        before[-1:] in (["["], [","])
        and len(after) > 1
        and (after[0].kind == "string" or (after[0].kind == "word" and after[0].text not in KEYWORDS))
        and after[1].text in ("(", "[", "as")
    )


def trait_impls(found):
    """For every token: does it stand directly in an `impl ... for ...` block?"""
    inside = []
    blocks = []
    header = []
    for token in found:
        inside.append(bool(blocks) and blocks[-1])
        if token.kind == "comment":
            continue
        if token.kind == "mark" and token.text == "{":
            words = [t.text for t in header if t.kind == "word"]
            # `for<'a>` introduces lifetimes, and `impl` in a signature is a type.
            bound = any(
                t.text == "for" and header[i + 1 : i + 2] and header[i + 1].text != "<"
                for i, t in enumerate(header)
            )
            blocks.append("impl" in words and bound and "fn" not in words)
            header = []
        elif token.kind == "mark" and token.text in "};":
            if token.text == "}" and blocks:
                blocks.pop()
            header = []
        else:
            header.append(token)
    return inside


def check(path, text):
    """The violations in one file, as (line, message)."""
    found = tokens(text)
    code = [i for i, token in enumerate(found) if token.kind != "comment"]
    inside = trait_impls(found)
    wrong = []
    for place, index in enumerate(code):
        token = found[index]
        if token.kind != "word" or token.text != "unsafe":
            continue
        before = [found[i].text for i in code[max(0, place - 3) : place]]
        after = [found[i] for i in code[place + 1 : place + 5]]
        if is_promise(before, after):
            # Each function has a reason of its own.
            reason = index - 1
            while reason > 0 and found[reason].kind == "comment" and found[reason - 1].kind == "comment":
                reason -= 1
            if not re.match(r"/[/*]\s*SAFETY:", found[reason].text):
                wrong.append((token.line, "unsafe without a `// SAFETY:` comment directly before it"))
            continue
        if not path.startswith(ALLOWED) and before != ["symbols", "!", "{"]:
            wrong.append((token.line, f"unsafe outside of {' and '.join(ALLOWED)}"))
            continue
        # `unsafe extern "C" fn name`: what counts comes behind the ABI.
        if after and after[0].text == "extern":
            del after[0]
            if after and after[0].kind == "string":
                del after[0]
        what = after[0].text if after else ""
        comments = comments_before(found, index)
        if what == "fn" and len(after) > 1 and after[1].text == "(":
            continue
        if what in ("fn", "trait"):
            if what == "fn" and inside[index]:
                continue
            if not any(is_doc(c) and re.search(r"#\s*Safety\b", c.text) for c in comments):
                wrong.append((token.line, f"unsafe {what} without a `# Safety` section in its documentation"))
        elif not any(not is_doc(c) and re.match(r"/[/*]\s*SAFETY:", c.text) for c in comments):
            wrong.append(
                (token.line, "unsafe without a `// SAFETY:` comment behind the last `;`, `{` or `}` before it")
            )
    return wrong


def main(paths):
    """Print the violations; status 1 if there are any."""
    status = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line, message in check(path, file.read()):
                print(f"{path}:{line}: {message}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
