//! J4: the same files are edited on both sides, and both versions are to stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Bench;
use super::compare::files;
use super::jobs::{is_equal, pair_of};
use super::tools::Tool;
use crate::shell::say;

/// Files that are edited on both sides.
const EDITED: usize = 100;

impl Bench {
    /// Edits on both sides at the same paths; each version must be somewhere afterwards.
    ///
    /// # Errors
    /// When data cannot be prepared, or a tool fails.
    pub fn conflicting(&mut self) -> Result<bool> {
        let edited = (EDITED / self.shrink as usize).max(4);
        let tools = [Tool::Syncline, Tool::Unison, Tool::Bisync];
        let pairs = self.pairs_in_sync("conflicting", &tools)?;
        self.rounds("j4", &tools, |bench, tool, round| {
            let pair = pair_of(&pairs, tool)?;
            // The copies of earlier rounds are left as they are.
            let paths: Vec<String> = files(&pair.a)?.into_iter().filter(|path| is_original(path)).collect();
            let apart = (paths.len() / edited).max(1);
            let mut written = BTreeSet::new();
            for path in paths.iter().skip(round).step_by(apart).take(edited) {
                for (root, side) in [(&pair.a, "one"), (&pair.b, "other")] {
                    let text = format!("{path} as the {side} side has it in round {round}\n").repeat(40);
                    fs::write(root.join(path), &text)?;
                    written.insert(text.into_bytes());
                }
            }
            // Open conflicts are what this job is about.
            let accepted: &[i32] = if tool == Tool::Syncline { &[0, 5] } else { &[0] };
            let sample = bench.measure_to(&bench.tools.sync(tool, pair, true), accepted)?;
            bench.note("j4", tool.name(), sample);
            let lost = lost(&[&pair.a, &pair.b], &written)?;
            say(format_args!("     {lost} of {} versions are lost", written.len()));
            // What the others lose, or bring to the other side only the next time, is no failure of the bench.
            Ok(tool != Tool::Syncline || lost == 0 && is_equal(pair)?)
        })
    }
}

fn is_original(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("item-") && name.len() == "item-0000000.txt".len()
}

/// How many of the contents are in no file of the trees.
fn lost(roots: &[&Path], contents: &BTreeSet<Vec<u8>>) -> Result<usize> {
    let sizes: BTreeSet<u64> = contents.iter().map(|content| content.len() as u64).collect();
    let mut missing: BTreeSet<&Vec<u8>> = contents.iter().collect();
    for root in roots {
        for path in files(root)? {
            let path = root.join(path);
            if sizes.contains(&fs::metadata(&path)?.len()) {
                missing.remove(&fs::read(&path)?);
            }
        }
    }
    Ok(missing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_file_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "one").unwrap();
        fs::write(folder.path().join("b"), "two and more").unwrap();
        let contents = ["one", "two"].map(|text| text.as_bytes().to_vec()).into_iter().collect();
        assert_eq!(lost(&[folder.path()], &contents).unwrap(), 1);
        assert!(is_original("bulk/item-0000001.txt") && !is_original("item-0000001.conflict-x.txt"));
    }
}
