//! Whether two trees are the same: names, types, contents, link targets, executable bits.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What tools keep at the root of a tree for themselves.
const OWN: [&str; 2] = [".syncline", "syncline.yaml"];

#[derive(Debug, PartialEq, Eq)]
enum Thing {
    Folder,
    Link(PathBuf),
    File { bytes: u64, executable: bool },
}

/// The paths of all files of a tree, in a fixed order.
///
/// # Errors
/// When it cannot be read.
pub fn files(root: &Path) -> io::Result<Vec<String>> {
    let things = things(root)?.into_iter();
    Ok(things.filter(|(_, thing)| matches!(thing, Thing::File { .. })).map(|(path, _)| path).collect())
}

/// What differs between two trees, one line for each path; nothing when they are equal.
///
/// # Errors
/// When one of them cannot be read.
pub fn differences(a: &Path, b: &Path) -> io::Result<Vec<String>> {
    let (in_a, mut in_b) = (things(a)?, things(b)?);
    let mut found = Vec::new();
    for (path, thing) in in_a {
        match in_b.remove(&path) {
            None => found.push(format!("{path}: only in {}", a.display())),
            Some(other) if other != thing => found.push(format!("{path}: {thing:?} against {other:?}")),
            Some(Thing::File { .. }) if !same_content(&a.join(&path), &b.join(&path))? => {
                found.push(format!("{path}: other content"));
            }
            Some(_) => {}
        }
    }
    found.extend(in_b.into_keys().map(|path| format!("{path}: only in {}", b.display())));
    found.sort();
    Ok(found)
}

fn things(root: &Path) -> io::Result<BTreeMap<String, Thing>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() && OWN.contains(&name.as_str()) {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            let thing = if kind.is_dir() {
                waiting.push((entry.path(), format!("{path}/")));
                Thing::Folder
            } else if kind.is_symlink() {
                Thing::Link(fs::read_link(entry.path())?)
            } else {
                let metadata = entry.metadata()?;
                let executable = metadata.permissions().mode() & 0o100 != 0;
                Thing::File { bytes: metadata.len(), executable }
            };
            found.insert(path, thing);
        }
    }
    Ok(found)
}

/// Whether two files of the same length hold the same.
fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (fs::File::open(a)?, fs::File::open(b)?);
    let (mut left, mut right) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for root in [&a, &b] {
            fs::create_dir_all(root.join("d")).unwrap();
            fs::create_dir_all(root.join(".syncline")).unwrap();
            for name in ["same", "content", "mode", "type"] {
                fs::write(root.join(name), "text").unwrap();
            }
        }
        fs::write(a.join(".syncline/state"), "own").unwrap();
        assert_eq!(differences(&a, &b).unwrap(), [""; 0]);
        fs::write(b.join("content"), "test").unwrap();
        fs::set_permissions(b.join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(b.join("type")).unwrap();
        std::os::unix::fs::symlink("same", b.join("type")).unwrap();
        fs::write(a.join("d/left"), "").unwrap();
        fs::write(b.join("d/right"), "").unwrap();
        let found = differences(&a, &b).unwrap();
        let paths: Vec<&str> = found.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(paths, ["content", "d/left", "d/right", "mode", "type"]);
    }
}
