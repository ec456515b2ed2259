// SPDX-License-Identifier: GPL-2.0

//! The numbers of enumerations, which a fix must not change.
//!
//! Memory and code that are not in the patch have the numbers as they were. All enumerations of an
//! object count, not only those that changed functions reach: a number that is in no changed
//! function is none of this object's, as the compiler leaves out types that the source does not
//! use. What one object alone has is new or gone, and nothing else has its number.
//!
//! An enumerator that tells where its list ends is an exception, as nothing has its number for a
//! value, and fixes move it often: see [`Enumeration::ends_with`].

use crate::model::{LeftOut, Reason, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// The words by which an enumerator is known for the end of its list: `__X_MAX`, `NR_X`, `X_LAST`.
/// `END` is not one of them: it is also the last state of what goes through several ones.
const END_WORDS: [&str; 9] = [
    "CNT", "COUNT", "LAST", "LIMIT", "MAX", "MAXIMUM", "NBITS", "NR", "NUM",
];

/// An enumeration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Enumeration {
    /// `enum` and its tag, or the name of the typedef if it has no tag; it may have neither.
    pub name: Option<String>,
    /// In bytes.
    pub size: u64,
    /// In the order of the source.
    pub enumerators: Vec<(String, i128)>,
}

/// Refuses other numbers than before, and tells of ends of lists that move.
pub(super) fn check(
    original: &BTreeSet<Enumeration>,
    patched: &BTreeSet<Enumeration>,
) -> (Vec<Refusal>, BTreeSet<LeftOut>) {
    let (mut refusals, mut moved) = (Vec::new(), BTreeSet::new());
    let mut by_enumerator: BTreeMap<&str, Vec<&Enumeration>> = BTreeMap::new();
    for enumeration in original {
        for (enumerator, _) in &enumeration.enumerators {
            let having = by_enumerator.entry(enumerator).or_default();
            having.push(enumeration);
        }
    }
    for after in patched {
        let of_that_name = || original.iter().filter(|one| one.name == after.name);
        if let (Some(_), Some(before)) = (&after.name, of_that_name().next()) {
            if of_that_name().all(|one| one.size != after.size) {
                let because = format!("it has {} bytes in place of {}", after.size, before.size);
                refusals.push(Refusal::new(
                    after.title(),
                    Reason::ChangedLayout { because },
                ));
            }
        }
        // The first number that is another one says it all.
        let mut changed = None;
        for (enumerator, is) in &after.enumerators {
            let having = by_enumerator.get(enumerator.as_str());
            let before = after.namesakes(having.map_or(&[], Vec::as_slice));
            let was = |one: &Enumeration| one.number(enumerator);
            let Some(first) = before.iter().find_map(|one| was(one)) else {
                continue;
            };
            if before.iter().any(|one| was(one) == Some(*is)) {
                continue;
            }
            if before.iter().any(|one| one.ends_with(enumerator, after)) {
                moved.insert(after.moved(enumerator, first, *is));
            } else {
                changed.get_or_insert((enumerator, first, is));
            }
        }
        if let Some((enumerator, was, is)) = changed {
            let reason = Reason::ChangedEnumeration {
                enumerator: enumerator.clone(),
                before: was.to_string(),
                after: is.to_string(),
            };
            refusals.push(Refusal::new(after.title(), reason));
        }
    }
    (refusals, moved)
}

impl Enumeration {
    fn number(&self, enumerator: &str) -> Option<i128> {
        let mut all = self.enumerators.iter();
        all.find_map(|(name, number)| (name == enumerator).then_some(*number))
    }

    /// Those of the same name; all of them, if there are none. Functions can have enumerations of
    /// their own, with the same enumerators.
    fn namesakes<'a>(&self, among: &[&'a Enumeration]) -> Vec<&'a Enumeration> {
        let is_namesake = |one: &&Enumeration| one.name == self.name;
        let namesakes: Vec<_> = among.iter().copied().filter(is_namesake).collect();
        match namesakes[..] {
            [] => among.to_vec(),
            _ => namesakes,
        }
    }

    /// What it is called, for people.
    fn title(&self) -> String {
        match (&self.name, self.enumerators.first()) {
            (Some(name), _) => name.clone(),
            (None, Some((first, _))) => format!("enum {{ {first}, ... }}"),
            (None, None) => "enum".to_owned(),
        }
    }

    /// Whether an enumerator is the end of the list, here and in `after`, and moves only because
    /// others were put in before it.
    ///
    /// That is so if its name has one of [`END_WORDS`], and if its number is both times the greatest
    /// one of those before it in the list that are no ends themselves, or one more; the same of the two
    /// both times; and if that greatest one has grown. A value that only has such a name, and that is
    /// followed by others, is not taken for an end: these move as well, and their names tell nothing.
    fn ends_with(&self, enumerator: &str, after: &Enumeration) -> bool {
        if !enumerator.split('_').any(is_end_word) {
            return false;
        }
        match (self.end(enumerator), after.end(enumerator)) {
            (Some((last, distance)), Some((new_last, new_distance))) => {
                distance == new_distance && new_last > last
            }
            _ => false,
        }
    }

    /// The greatest number before an enumerator, and how much greater that of the enumerator is: 0 or
    /// 1. `None` if it is not the end of these.
    fn end(&self, enumerator: &str) -> Option<(i128, i128)> {
        let own = self.number(enumerator)?;
        let before = self.enumerators.iter();
        let before = before.take_while(|(name, _)| name != enumerator);
        let values = before.filter(|(name, _)| !name.split('_').any(is_end_word));
        let last = values.map(|(_, number)| *number).max()?;
        let distance = own.checked_sub(last)?;
        matches!(distance, 0 | 1).then_some((last, distance))
    }

    fn moved(&self, enumerator: &str, was: i128, is: i128) -> LeftOut {
        LeftOut {
            what: format!("{enumerator} of {}", self.title()),
            effect: format!(
                "it becomes {is} in place of {was}: what the kernel has allocated, registered or \
                 marked with {was} stays as it is"
            ),
        }
    }
}

fn is_end_word(word: &str) -> bool {
    END_WORDS.iter().any(|end| word.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An enumeration as C has it, with numbers where they do not count up: `A B=5 MAX`.
    fn parse(text: &str) -> BTreeSet<Enumeration> {
        let mut next = 0;
        let enumerators = text.split_whitespace().map(|one| {
            let (name, number) = match one.split_once('=') {
                Some((name, number)) => (name, number.parse().unwrap()),
                None => (one, next),
            };
            next = number + 1;
            (name.to_owned(), number)
        });
        BTreeSet::from([Enumeration {
            name: None,
            size: 4,
            enumerators: enumerators.collect(),
        }])
    }

    fn found(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
        let (refusals, moved) = check(&parse(before), &parse(after));
        let refusals = refusals.iter().map(|refusal| match &refusal.reason {
            Reason::ChangedEnumeration {
                enumerator,
                before,
                after,
            } => format!("{enumerator} {before} {after}"),
            other => panic!("{other}"),
        });
        let moved = moved.into_iter().map(|one| one.what);
        (refusals.collect(), moved.collect())
    }

    #[test]
    fn ends_of_lists_may_move() {
        for (before, after, ends) in [
            ("A B __X_MAX", "A B C __X_MAX", 1),
            ("A B __X_MAX X_MAX=1", "A B C __X_MAX X_MAX=2", 2),
            (
                "A __AFTER_LAST NUM_X=1 X_MAX=0",
                "A B C __AFTER_LAST NUM_X=3 X_MAX=2",
                3,
            ),
            ("A=1 B=2 NR_X", "A=1 B=2 C=4 NR_X", 1),
            ("A B X_LAST=1 INVALID=255", "A B C X_LAST=2 INVALID=255", 1),
            ("NONE=-1 A B x_max", "NONE=-1 A B C x_max", 1),
        ] {
            let (refusals, moved) = found(before, after);
            assert!(refusals.is_empty(), "{before}: {refusals:?}");
            assert_eq!(moved.len(), ends, "{before}: {moved:?}");
        }
    }

    #[test]
    fn what_is_new_or_gone_or_the_same_is_let_through() {
        for (before, after) in [
            ("A B", "A B C"),
            ("A B C", "A C=2"),
            ("A B", "B=1 A=0"),
            ("A B", "C D"),
        ] {
            assert_eq!(found(before, after), (vec![], vec![]), "{before}");
        }
    }

    #[test]
    fn other_numbers_are_refused() {
        for (before, after, first) in [
            ("A B C", "A C B", "C 2 1"),
            ("A B", "A=1 B=2", "A 0 1"),
            ("A B C MAX", "A X B C MAX", "B 1 2"),
            ("A B C MAX", "A C MAX", "C 2 1"),
            // It may be a value.
            ("IDLE BUSY DEAD", "IDLE BUSY WAITING DEAD", "DEAD 2 3"),
            ("IDLE BUSY END", "IDLE BUSY WAITING END", "END 2 3"),
            // It is a value.
            ("A MAX_RATE B", "A X MAX_RATE B", "B 2 3"),
            ("A B MAX_RATE NR", "A B X MAX_RATE NR", "NR 3 4"),
            // Not the end before, or not any more.
            ("A B MAX=7", "A B C MAX=8", "MAX 7 8"),
            ("A B MAX", "A B C MAX=9", "MAX 2 9"),
            ("A B X_MAX", "A B C X_MAX=2", "nothing"),
            ("A B X_MAX", "A B C D X_MAX=3", "X_MAX 2 3"),
            // Fewer than before.
            ("A B C MAX", "A B MAX", "MAX 3 2"),
            ("MAX A", "MAX=1 A=2", "MAX 0 1"),
        ] {
            let (refusals, _) = found(before, after);
            let refused = refusals.first().map_or("nothing", String::as_str);
            assert_eq!(refused, first, "{before}");
        }
    }

    #[test]
    fn each_of_several_lists_may_have_its_own_number() {
        let both = [parse("A B"), parse("B A")].into_iter().flatten().collect();
        assert_eq!(check(&both, &both), (vec![], BTreeSet::new()));
        let (refusals, _) = check(&both, &parse("X Y A"));
        assert_eq!(refusals.len(), 1);
    }

    #[test]
    fn another_size_is_another_layout() {
        let of_size = |size| {
            let name = Some("enum x".to_owned());
            let parsed = parse("A B").into_iter();
            parsed
                .map(|one| Enumeration {
                    name: name.clone(),
                    size,
                    ..one
                })
                .collect()
        };
        let (refusals, _) = check(&of_size(4), &of_size(8));
        assert!(matches!(
            refusals[..],
            [Refusal {
                reason: Reason::ChangedLayout { .. },
                ..
            }]
        ));
    }
}
