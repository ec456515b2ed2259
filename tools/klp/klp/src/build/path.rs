// SPDX-License-Identifier: GPL-2.0

//! Paths without the file system.

use std::path::{Component, Path, PathBuf};

/// The path without `.` and, where a name is before it, `..`: what a path means where no directory
/// is a symbolic link.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if ends_with_name(&normal) => {
                normal.pop();
            }
            _ => normal.push(component),
        }
    }
    normal
}

fn ends_with_name(path: &Path) -> bool {
    matches!(path.components().next_back(), Some(Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_take_names_away() {
        for (path, expected) in [
            ("/a/b/../c", "/a/c"),
            ("./a/./b", "a/b"),
            ("a/../../b", "../b"),
            ("../b", "../b"),
            ("/a/b/../../c/d", "/c/d"),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
