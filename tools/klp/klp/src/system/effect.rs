// SPDX-License-Identifier: GPL-2.0

//! Which of the stacked patches is in effect for a function.
//!
//! The topmost patch that has the function is; one that replaces all earlier patches hides them for
//! all functions. While a patch is in transition, that can differ from task to task.

use super::patches::{Function, Patch, State};
use super::phase::Phase;

/// For which tasks something is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    All,
    /// Some of them.
    Some,
    /// None of them.
    None,
    /// It is not known for which.
    Unknown,
}

impl Share {
    /// In a word; `None` where it is not known.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Share::All => Some("all"),
            Share::Some => Some("some"),
            Share::None => Some("none"),
            Share::Unknown => None,
        }
    }

    /// Of a patch, as far as no other one hides it. `one_by_one` tells that the core moves tasks one
    /// after the other, and has no phases.
    fn of_patch(state: State, phase: Option<Phase>, one_by_one: bool) -> Self {
        match (state, phase) {
            (State::Enabled, _) | (State::Disabling, Some(Phase::Waiting)) => Share::All,
            (State::Disabled, _) | (State::Enabling, Some(Phase::Waiting)) => Share::None,
            (_, Some(Phase::Switched)) => Share::Some,
            (_, None) if one_by_one => Share::Some,
            (_, None) => Share::Unknown,
        }
    }

    /// What is left of it for those below.
    fn without(self, taken: Self) -> Self {
        match (self, taken) {
            (Share::None, _) | (_, Share::All) => Share::None,
            (left, Share::None) => left,
            (Share::Unknown, _) | (_, Share::Unknown) => Share::Unknown,
            (Share::All | Share::Some, Share::Some) => Share::Some,
        }
    }

    /// What is in both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Share::None, _) | (_, Share::None) => Share::None,
            (Share::All, other) | (other, Share::All) => other,
            (Share::Unknown, _) | (_, Share::Unknown) => Share::Unknown,
            (Share::Some, Share::Some) => Share::Some,
        }
    }
}

/// Whether a patch's function is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect<'a> {
    /// For which tasks.
    pub share: Share,
    /// The patch above that keeps it from being in effect for the others, if one does.
    pub overridden_by: Option<&'a Patch>,
}

/// Patches in the order of their stack, each with what it is in effect for.
pub struct Stack<'a>(Vec<(&'a Patch, Share)>);

impl<'a> Stack<'a> {
    /// Of all patches, in their order, each with the phase of its transition.
    pub fn new(
        patches: impl IntoIterator<Item = (&'a Patch, Option<Phase>)>,
        one_by_one: bool,
    ) -> Self {
        let share = |patch: &Patch, phase| Share::of_patch(patch.state, phase, one_by_one);
        let patches = patches.into_iter();
        Stack(
            patches
                .map(|(patch, phase)| (patch, share(patch, phase)))
                .collect(),
        )
    }

    /// Whether the function is in effect that this patch has in an object.
    pub fn effect(&self, patch: &Patch, object: &str, function: &Function) -> Effect<'a> {
        let mut left = Share::All;
        let mut overridden_by = None;
        for &(other, share) in self.0.iter().rev() {
            if other.name == patch.name {
                left = left.and(share);
                break;
            }
            let hides = other.replace == Some(true) || other.has(object, function);
            if hides && share != Share::None && left != Share::None {
                left = left.without(share);
                overridden_by = Some(other);
            }
        }
        Effect {
            share: left,
            overridden_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::patches::Object;

    fn function(name: &str) -> Function {
        Function {
            name: name.to_owned(),
            position: Some(1),
        }
    }

    fn patch(name: &str, state: State, replace: bool, functions: &[&str]) -> Patch {
        Patch {
            name: name.to_owned(),
            state,
            replace: Some(replace),
            stack_order: None,
            objects: vec![Object {
                name: "vmlinux".to_owned(),
                patched: Some(true),
                functions: functions.iter().map(|name| function(name)).collect(),
            }],
        }
    }

    /// What `f` is in effect for in each of the patches, and what keeps it from being so.
    fn effects(
        patches: &[Patch],
        phase: Option<Phase>,
        one_by_one: bool,
    ) -> Vec<(Share, Option<&str>)> {
        let with = patches
            .iter()
            .map(|patch| (patch, phase.filter(|_| patch.state.is_transition())));
        let stack = Stack::new(with, one_by_one);
        let effect = |patch| {
            let effect = stack.effect(patch, "vmlinux", &function("f"));
            let by = effect.overridden_by.map(|patch| patch.name.as_str());
            (effect.share, by)
        };
        patches.iter().map(effect).collect()
    }

    #[test]
    fn the_topmost_patch_that_has_the_function_is_in_effect() {
        let patches = [
            patch("a", State::Enabled, false, &["f"]),
            patch("b", State::Enabled, false, &["f"]),
            patch("c", State::Enabled, false, &["g"]),
        ];
        let all = effects(&patches, None, false);
        assert_eq!(all[..2], [(Share::None, Some("b")), (Share::All, None)]);
    }

    #[test]
    fn one_of_another_position_or_object_is_another_function() {
        let mut above = patch("b", State::Enabled, false, &["f"]);
        above.objects[0].functions[0].position = Some(2);
        let below = patch("a", State::Enabled, false, &["f"]);
        let mut patches = [below, above];
        assert_eq!(effects(&patches, None, false)[0], (Share::All, None));

        let object = &mut patches[1].objects[0];
        object.functions[0].position = Some(1);
        object.name = "ext4".to_owned();
        assert_eq!(effects(&patches, None, false)[0], (Share::All, None));
    }

    #[test]
    fn a_patch_in_transition_is_in_effect_as_its_phase_says() {
        use Phase::{Switched, Waiting};
        use Share::{All, None as Nothing, Some as Part, Unknown};
        for (state, phase, one_by_one, below, own) in [
            (State::Enabling, Some(Waiting), false, All, Nothing),
            (State::Enabling, Some(Switched), false, Part, Part),
            (State::Disabling, Some(Waiting), false, Nothing, All),
            (State::Disabling, Some(Switched), false, Part, Part),
            (State::Enabling, None, true, Part, Part),
            (State::Disabling, None, true, Part, Part),
            (State::Enabling, None, false, Unknown, Unknown),
            (State::Disabled, None, false, All, Nothing),
        ] {
            for (replace, has) in [(false, "f"), (true, "g"), (true, "f")] {
                let patches = [
                    patch("lowest", State::Enabled, false, &["f"]),
                    patch("a", State::Enabled, false, &["f"]),
                    patch("b", state, replace, &[has]),
                ];
                let by = (below != All).then_some("b");
                let all = effects(&patches, phase, one_by_one);
                let above = if below == Nothing { "b" } else { "a" };
                assert_eq!(all[0], (Nothing, Some(above)), "{state:?} {phase:?}");
                assert_eq!(all[1], (below, by), "{state:?} {phase:?}");
                assert_eq!(all[2], (own, None), "{state:?} {phase:?}");
            }
        }
    }

    #[test]
    fn what_is_hidden_is_in_effect_for_no_task_while_it_is_disabled() {
        let patches = [
            patch("lowest", State::Enabled, false, &["f"]),
            patch("a", State::Disabling, false, &["f"]),
            patch("b", State::Enabled, false, &["f"]),
        ];
        let all = effects(&patches, Some(Phase::Switched), false);
        let hidden = (Share::None, Some("b"));
        assert_eq!(all, [hidden, hidden, (Share::All, None)]);
    }
}
