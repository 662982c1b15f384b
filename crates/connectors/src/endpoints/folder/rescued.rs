//! The folder `.syncline/rescued`: what somebody wrote at the very moment of a swap, and what could not go back to
//! its place. It is told in every scan until a person has looked at it and taken it away.

use std::io;

use syncline_core::Problem;

use super::STATE;
use super::names::Names;
use super::platform::Directory;
use super::staging::make_and_open;

/// Where it is, beneath `.syncline`.
const FOLDER: &str = "rescued";
/// Longest name that every file system takes.
const NAME_BYTES_MAX: usize = 255;

/// Moves something out of `swap` to where a person finds it. Its name tells the run and, when it is known, the path
/// that was being written.
pub(super) fn rescue(
    state: &Directory,
    swap: &Directory,
    name: &str,
    run: &str,
    path: Option<&str>,
) -> io::Result<()> {
    let rescued = make_and_open(state, FOLDER)?;
    swap.move_new(name, &rescued, &place(run, name, path))
}

fn place(run: &str, name: &str, path: Option<&str>) -> String {
    let mut place = format!("{run}-{name}");
    if let Some(path) = path {
        let path = path.replace('/', "_");
        let room = NAME_BYTES_MAX.saturating_sub(place.len() + 1);
        // The end of a path tells more than its beginning.
        let from = (path.len().saturating_sub(room)..=path.len()).find(|&at| path.is_char_boundary(at));
        place = format!("{place}-{}", &path[from.unwrap_or(path.len())..]);
    }
    place
}

/// What waits there, one problem each.
pub(super) fn list(root: &Directory) -> Vec<Problem> {
    let mut names = Names::default();
    let read = root.beneath(&format!("{STATE}/{FOLDER}")).and_then(|directory| names.read(&directory));
    if read.is_err() {
        return Vec::new();
    }
    let message = "somebody changed a path at the moment it was being written, and this is what did not go back; \
                   move it to where it belongs, or remove it";
    names
        .sorted()
        .map(|name| {
            let path = format!("{STATE}/{FOLDER}/{}", String::from_utf8_lossy(name.bytes()));
            Problem::new(path, "rescued", message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_place_tells_the_path_as_far_as_a_name_may_be_long() {
        assert_eq!(place("run", "3", Some("docs/notes.md")), "run-3-docs_notes.md");
        assert_eq!(place("run", "3", None), "run-3");
        let long = place("run", "3", Some(&format!("{}/end.md", "ä".repeat(300))));
        assert!(long.len() <= 255 && long.starts_with("run-3-ä") && long.ends_with("ä_end.md"), "{long}");
    }
}
