// SPDX-License-Identifier: GPL-2.0

//! Line numbers that stay.
//!
//! `WARN()`, `BUG()` and lockdep put `__LINE__` into the code. A fix that adds a line would change
//! every function behind it that has one. So `#line` directives are put into the patched file,
//! which give each line that is the original's the number that it has there.

use ::similar::{capture_diff_slices, Algorithm, DiffOp};

/// The patched text, with a `#line` directive wherever the numbers of the lines would not be the
/// original's any more and a directive can stand. A text that has such directives itself is left as
/// it is.
pub fn keep(original: &[u8], patched: &[u8]) -> Vec<u8> {
    let originals: Vec<&[u8]> = original.split_inclusive(|&byte| byte == b'\n').collect();
    let lines: Vec<&[u8]> = patched.split_inclusive(|&byte| byte == b'\n').collect();
    if lines
        .iter()
        .any(|line| Directive::of(line) == Some(Directive::Line))
    {
        return patched.to_owned();
    }
    let wanted = wanted(&originals, &lines);
    let mut lexer = Lexer::default();
    let mut numbers = Numbers::default();
    let mut kept = Vec::with_capacity(patched.len() + 64);
    for (line, wanted) in lines.iter().zip(wanted) {
        let directive = lexer.at_directive(line);
        if let Some(wanted) = wanted {
            if lexer.is_between() && numbers.next != Some(wanted) {
                kept.extend_from_slice(format!("#line {wanted}\n").as_bytes());
                numbers.set(wanted);
            }
        }
        numbers.pass(directive);
        lexer.pass(line, directive);
        kept.extend_from_slice(line);
    }
    kept
}

/// For each line of the patched text its number in the original, if it is there.
fn wanted(originals: &[&[u8]], lines: &[&[u8]]) -> Vec<Option<usize>> {
    let mut wanted = vec![None; lines.len()];
    for operation in capture_diff_slices(Algorithm::Myers, originals, lines) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = operation
        {
            let same = wanted.iter_mut().skip(new_index).take(len);
            for (at, wanted) in same.enumerate() {
                *wanted = Some(old_index + at + 1);
            }
        }
    }
    wanted
}

/// A line for the preprocessor that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    /// `#if`, `#ifdef`, `#ifndef`
    If,
    /// `#else`, `#elif` and its kin
    Else,
    /// `#endif`
    Endif,
    /// `#line`
    Line,
    /// All others.
    Other,
}

impl Directive {
    fn of(line: &[u8]) -> Option<Self> {
        let rest = line
            .trim_ascii_start()
            .strip_prefix(b"#")?
            .trim_ascii_start();
        let end = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        Some(match rest.get(..end).unwrap_or_default() {
            b"if" | b"ifdef" | b"ifndef" => Directive::If,
            b"else" | b"elif" | b"elifdef" | b"elifndef" => Directive::Else,
            b"endif" => Directive::Endif,
            b"line" => Directive::Line,
            word if word.first().is_some_and(u8::is_ascii_digit) => Directive::Line,
            _ => Directive::Other,
        })
    }
}

/// The number that the compiler gives to the next line; none where that depends on a condition.
struct Numbers {
    next: Option<usize>,
    /// Of each open `#if`, whether a `#line` is inside, which the compiler may have skipped.
    open: Vec<bool>,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers {
            next: Some(1),
            open: Vec::new(),
        }
    }
}

impl Numbers {
    /// A `#line` was put in.
    fn set(&mut self, next: usize) {
        self.next = Some(next);
        if let Some(has_line) = self.open.last_mut() {
            *has_line = true;
        }
    }

    /// A line goes by.
    fn pass(&mut self, directive: Option<Directive>) {
        self.next = self.next.map(|next| next + 1);
        match directive {
            Some(Directive::If) => self.open.push(false),
            Some(Directive::Else) if self.open.last() == Some(&true) => self.next = None,
            Some(Directive::Endif) if self.open.pop() == Some(true) => {
                self.next = None;
                if let Some(outer) = self.open.last_mut() {
                    *outer = true;
                }
            }
            _ => {}
        }
    }
}

/// Where in the text of a C file a line begins.
#[derive(Debug, Default)]
struct Lexer {
    /// What goes on from the line before.
    within: Within,
    /// Whether the line before ended in a backslash.
    continued: bool,
    /// Whether that line belongs to a directive.
    in_directive: bool,
    /// How many parentheses are open.
    depth: usize,
    /// The same at each open `#if`: its branches are alternatives.
    depths: Vec<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Code,
    Comment,
    LineComment,
    /// A string or a character, with the byte that ends it.
    Quotes(u8),
}

impl Lexer {
    /// Whether a directive can stand before the next line.
    fn is_between(&self) -> bool {
        self.within == Within::Code && !self.continued && self.depth == 0
    }

    /// The directive that the next line is.
    fn at_directive(&self, line: &[u8]) -> Option<Directive> {
        match self.within == Within::Code && !self.continued {
            true => Directive::of(line),
            false => None,
        }
    }

    /// A line goes by.
    fn pass(&mut self, line: &[u8], directive: Option<Directive>) {
        match directive {
            Some(Directive::If) => self.depths.push(self.depth),
            Some(Directive::Else) => self.depth = self.depths.last().copied().unwrap_or(0),
            Some(Directive::Endif) => {
                self.depths.pop();
            }
            _ => {}
        }
        // A directive also goes on behind a comment that it has begun.
        if self.within == Within::Code && !self.continued {
            self.in_directive = directive.is_some();
            // No parenthesis is open there, whatever the macros before have hidden.
            if line.starts_with(b"}") {
                self.depth = 0;
            }
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let body = text.strip_suffix(b"\\");
        self.continued = body.is_some();
        self.scan(body.unwrap_or(text));
        if !self.continued {
            match self.within {
                Within::Comment => {}
                // An apostrophe in a text, or a mistake: it ends with the line.
                _ => self.within = Within::Code,
            }
        }
    }

    fn scan(&mut self, text: &[u8]) {
        let mut bytes = text.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match (self.within, byte) {
                (Within::Comment, b'*') if bytes.peek() == Some(&b'/') => {
                    bytes.next();
                    self.within = Within::Code;
                }
                (Within::Comment, _) => {}
                (Within::LineComment, _) => return,
                (Within::Quotes(_), b'\\') => {
                    bytes.next();
                }
                (Within::Quotes(end), byte) if byte == end => self.within = Within::Code,
                (Within::Quotes(_), _) => {}
                (Within::Code, b'/') if bytes.peek() == Some(&b'*') => {
                    bytes.next();
                    self.within = Within::Comment;
                }
                (Within::Code, b'/') if bytes.peek() == Some(&b'/') => {
                    self.within = Within::LineComment;
                }
                (Within::Code, b'"' | b'\'') => self.within = Within::Quotes(byte),
                (Within::Code, b'(') if !self.in_directive => self.depth += 1,
                (Within::Code, b')') if !self.in_directive => {
                    self.depth = self.depth.saturating_sub(1);
                }
                (Within::Code, _) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::process::Command;

    fn kept(original: &str, patched: &str) -> String {
        String::from_utf8(keep(original.as_bytes(), patched.as_bytes())).expect("it was text")
    }

    #[test]
    fn the_lines_behind_a_change_keep_their_numbers() {
        assert_eq!(
            kept("a\nb\nc\n", "a\nnew\nb\nc\n"),
            "a\nnew\n#line 2\nb\nc\n"
        );
        assert_eq!(kept("a\nb\nc\n", "a\nc\n"), "a\n#line 3\nc\n");
        assert_eq!(kept("a\nb\nc\n", "a\nB\nc\n"), "a\nB\nc\n");
        assert_eq!(kept("a\nb", "x\na\nb"), "x\n#line 1\na\nb");
    }

    #[test]
    fn no_directive_is_put_where_none_can_stand() {
        for (what, lines) in [
            ("a comment", "/* one\n * two\n */\n"),
            ("a macro", "#define x \\\n\tone \\\n\ttwo\n"),
            ("a string", "char *s = \"a\\\nb\\\nc\";\n"),
            ("a line comment", "// one \\\n two \\\n three\n"),
            ("an argument", "f(one,\n two,\n three);\n"),
            (
                "a directive with a comment",
                "#define x /* (\n ' */ (\\\n y)\n",
            ),
        ] {
            let original = format!("begin\n{lines}end\n");
            let (first, rest) = lines.split_once('\n').expect("it has lines");
            // In the middle of it one line is doubled.
            let doubled = rest.split_inclusive('\n').next().expect("it has lines");
            let patched = format!("begin\n{first}\n{doubled}{rest}end\n");
            let at = format!(
                "{first}\n{doubled}{rest}#line {}\nend\n",
                lines.lines().count() + 2
            );
            assert_eq!(kept(&original, &patched), format!("begin\n{at}"), "{what}");
        }
    }

    #[test]
    fn an_apostrophe_in_a_text_ends_with_its_line() {
        let original = "#error it isn't so\na\nb\n";
        let patched = "#error it isn't so\nnew\na\nb\n";
        assert!(kept(original, patched).contains("new\n#line 2\na\n"));
    }

    #[test]
    fn branches_are_alternatives() {
        // Each branch opens the parenthesis that is closed behind them.
        let lines = "#ifdef A\nif (x(\n#else\nif (y(\n#endif\n1))\n";
        let original = format!("{lines}a\nb\n");
        let patched = format!("{lines}new\na\nb\n");
        assert!(kept(&original, &patched).contains("new\n#line 7\na\n"));
        // A directive in a branch that is skipped has no effect behind it.
        let original = "#ifdef A\na\n#else\nb\n#endif\nc\n";
        let patched = "#ifdef A\nnew\na\n#else\nb\n#endif\nc\n";
        assert_eq!(
            kept(original, patched),
            "#ifdef A\nnew\n#line 2\na\n#else\n#line 4\nb\n#endif\n#line 6\nc\n"
        );
    }

    #[test]
    fn a_text_with_directives_of_its_own_is_left_alone() {
        for directive in ["#line 7", "# 7 \"x.y\""] {
            let patched = format!("{directive}\nnew\na\n");
            assert_eq!(kept("a\n", &patched), patched);
        }
    }

    /// Lines that can stand in any order between others: whole, or with what they open and close.
    fn text() -> impl Strategy<Value = Vec<String>> {
        let piece = prop_oneof![
            4 => "L[a-z]{1,3} = __LINE__;".prop_map(|line| format!("{line}\n")),
            1 => Just("/* a (\n * b \" ' \n */\n".to_owned()),
            1 => Just("#define m(x) \\\n\t((x) + \\\n\t1)\n".to_owned()),
            1 => Just("g(1,\n  2,\n  ')');\n".to_owned()),
            1 => Just("s = \"(\\\n\\\"\";\n".to_owned()),
            1 => Just("// (' \\\n more\n".to_owned()),
            1 => Just("#ifdef A\nLin = __LINE__;\n#else\nLout = __LINE__;\nf(\n2);\n#endif\n".to_owned()),
            1 => Just("#ifndef A\nLnot = __LINE__;\n#endif\n".to_owned()),
        ];
        prop::collection::vec(piece, 0..12)
    }

    /// A text, and one that has some of its pieces and some others.
    fn change() -> impl Strategy<Value = (String, String)> {
        (text(), text(), prop::collection::vec(0..4u8, 24)).prop_map(|(one, other, choices)| {
            let mut patched = String::new();
            let mut others = other.iter();
            for (piece, choice) in one.iter().zip(&choices) {
                if choice % 2 == 1 {
                    patched.extend(others.next().cloned());
                }
                if *choice != 3 {
                    patched.push_str(piece);
                }
            }
            (one.concat(), patched)
        })
    }

    proptest! {
        #[test]
        fn without_the_directives_it_is_the_patched_text((original, patched) in change()) {
            let kept = kept(&original, &patched);
            let without: String = kept
                .split_inclusive('\n')
                .filter(|line| !line.starts_with("#line "))
                .collect();
            prop_assert_eq!(without, patched);
        }

        #[test]
        fn any_bytes_are_taken(one: Vec<u8>, other: Vec<u8>) {
            keep(&one, &other);
        }
    }

    /// What the preprocessor makes of a text: each line that begins with `L`.
    fn preprocessed(text: &str, flag: &str) -> Vec<String> {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.c");
        fs::write(&file, text).expect("the file is written");
        let output = Command::new("gcc")
            .args(["-E", "-P", flag])
            .arg(&file)
            .output()
            .expect("gcc, which this test needs, runs");
        assert!(
            output.status.success(),
            "{}\n{text}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("it was text")
            .lines()
            .filter(|line| line.starts_with('L'))
            .map(str::to_owned)
            .collect()
    }

    /// Gives each line that asks for its number a name of its own.
    fn named(text: &str) -> String {
        let mut named = String::new();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            match line.strip_prefix('L') {
                Some(rest) => named.push_str(&format!("L{at}_{rest}")),
                None => named.push_str(line),
            }
        }
        named
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_compiler_sees_the_original_numbers((original, _) in change(), news in prop::collection::vec(0..40usize, 0..6)) {
            let original = named(&original);
            // New lines, also in the middle of what can have no directive, but not in conditions.
            let mut lines: Vec<_> = original.split_inclusive('\n').collect();
            let mut news: Vec<_> = news.into_iter().filter(|&at| at <= lines.len()).collect();
            news.sort_unstable();
            for at in news.into_iter().rev() {
                lines.insert(at, "\n");
            }
            let patched = lines.concat();
            let kept = kept(&original, &patched);
            for flag in ["-DA", "-UA"] {
                let expected = preprocessed(&original, flag);
                let seen = preprocessed(&kept, flag);
                prop_assert_eq!(&seen, &expected, "{}", kept);
            }
        }
    }
}
