//! Which paths of the repository are the target's own, and how trees are put together from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_connect::{Error, ErrorKind, Result};
use syncline_core::{Filter, ItemPath, Verdict};

use super::super::command::Git;
use super::super::errors;
use super::super::mirror::LOCAL;
use super::super::names;
use super::super::tree::{Entry, Mode, ObjectId, Tree};
use super::clone::{Clone, succeeded};

/// The paths that belong to the target; everything else in the repository is a person's.
pub(super) struct Own {
    filter: Arc<Filter>,
    /// What Git is told to ignore and does not track, and what it converts, relative to the root of the target: it stands
    /// for what is below.
    pub(super) hidden: BTreeSet<ItemPath>,
}

impl Own {
    /// Finds out what is own.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn of(git: &Git, root: Option<&ItemPath>, filter: &Arc<Filter>) -> Result<Self> {
        let mut arguments =
            vec!["ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--"];
        arguments.extend(root.map(ItemPath::as_str));
        let done = succeeded(git.run(&arguments, LOCAL)?, "asking what Git ignores")?;
        let printed = String::from_utf8_lossy(&done.out);
        let hidden = printed.split('\0').filter_map(|path| below(root, path.trim_end_matches('/')));
        Ok(Self { filter: Arc::clone(filter), hidden: hidden.collect() })
    }

    /// Leaves to Git what it changes on the way between a commit and the work tree, such as files of Git LFS: on both
    /// sides the same file has another content there. Tells how many there are.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn leave_converted(
        &mut self,
        git: &Git,
        root: Option<&ItemPath>,
        tree: &Tree,
        upstream: ObjectId,
        scratch: &std::path::Path,
    ) -> Result<usize> {
        let mut arguments = vec!["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"];
        arguments.extend(root.map(ItemPath::as_str));
        let new = succeeded(git.run(&arguments, LOCAL)?, "asking what there is")?;
        let new = String::from_utf8_lossy(&new.out).into_owned();
        let told = |path: &str| path == ".gitattributes" || path.ends_with("/.gitattributes");
        let beside = git.repository().join("info/attributes").exists();
        // Whether a folder above the root has attributes is not known; it costs one call to ask for them all.
        let any = tree.entries.keys().any(|path| told(path.as_str())) || new.split('\0').any(told);
        if root.is_none() && !beside && !any {
            return Ok(0);
        }
        let mut paths: BTreeSet<String> = tree.entries.keys().map(|path| whole(root, path)).collect();
        paths.extend(new.split('\0').filter(|path| !path.is_empty()).map(str::to_owned));
        let input: String = paths.into_iter().map(|path| path + "\0").collect();
        // What the upstream says counts as well: its attributes may not have arrived in the work tree yet.
        let index = Index::new(scratch)?;
        succeeded(index.run(git, &["read-tree", &upstream.to_string()], "")?, "reading a tree")?;
        let asked = ["filter", "working-tree-encoding", "ident", "eol"];
        let here = git.feed(&[&["check-attr", "-z", "--stdin"], &asked[..]].concat(), &[], LOCAL, |to| {
            to.write_all(input.as_bytes())
        })?;
        let there =
            index.run(git, &[&["check-attr", "--cached", "-z", "--stdin"], &asked[..]].concat(), &input)?;
        let mut printed = String::new();
        for done in [here, there] {
            printed.push_str(&String::from_utf8_lossy(&succeeded(done, "asking for attributes")?.out));
        }
        let mut words = printed.split('\0');
        let mut converted = BTreeSet::new();
        while let (Some(path), Some(attribute), Some(value)) = (words.next(), words.next(), words.next()) {
            let converts = match value {
                "unspecified" | "unset" | "lf" => false,
                value => attribute != "eol" || value == "crlf",
            };
            converted.extend(below(root, path).filter(|_| converts));
        }
        let count = converted.len();
        self.hidden.extend(converted);
        Ok(count)
    }

    /// Whether a path of the target's folder is its own; `entry` is what is there or was.
    pub(super) fn holds(&self, path: &ItemPath, entry: Entry) -> bool {
        let link = entry.mode == Mode::Link && names::link_refusal(path).is_some();
        entry.mode != Mode::Submodule
            && !link
            && names::refusal(path).is_none()
            && self.filter.decide_deep(path, false) == Verdict::Included
            && !self.hidden.contains(path)
            && !path.ancestors().any(|above| self.hidden.contains(&above))
    }
}

/// The path relative to the root of the target, when it lies below.
pub(super) fn below(root: Option<&ItemPath>, path: &str) -> Option<ItemPath> {
    let below = match root {
        None => path,
        Some(root) => path.strip_prefix(root.as_str())?.strip_prefix('/')?,
    };
    ItemPath::parse(below).ok()
}

/// A path of the repository.
pub(super) fn whole(root: Option<&ItemPath>, path: &ItemPath) -> String {
    root.map_or_else(|| path.to_string(), |root| format!("{root}/{path}"))
}

/// What both lines have made of what they came from, path by path; where both changed a path, that of `theirs`.
pub(super) fn overlay(base: &Tree, ours: &Tree, theirs: &Tree) -> Tree {
    let mut made = theirs.edited(BTreeMap::new());
    made.root_is = theirs.root_is;
    let paths: BTreeSet<&ItemPath> = ours.entries.keys().chain(base.entries.keys()).collect();
    for path in paths {
        let (was, here, there) = (base.entries.get(path), ours.entries.get(path), theirs.entries.get(path));
        if was != there || was == here {
            continue;
        }
        match here {
            // A file of theirs may stand where ours has a folder.
            Some(entry) if !path.ancestors().any(|above| theirs.entries.contains_key(&above)) => {
                made.entries.insert(path.clone(), *entry);
            }
            Some(_) => {}
            None => drop(made.entries.remove(path)),
        }
    }
    made
}

/// A tree, and the commits that a commit of it stands on.
pub(super) struct Composed {
    /// The name of the tree.
    pub(super) tree: String,
    pub(super) parents: Vec<ObjectId>,
    /// Set when the only parent has this very tree, so that no commit is needed.
    pub(super) nothing_new: bool,
}

/// What a merge of two lines comes to.
pub(super) struct Merged {
    /// The name of the tree.
    pub(super) tree: String,
    pub(super) parents: Vec<ObjectId>,
    /// Paths of the repository that Git could not merge.
    conflicts: Vec<String>,
}

impl Merged {
    /// Merges two lines as Git does, without touching anything.
    ///
    /// # Errors
    /// When Git cannot be asked.
    pub(super) fn of(clone: &Clone, ours: ObjectId, theirs: ObjectId) -> Result<Self> {
        let one = |commit: ObjectId| Self {
            tree: format!("{commit}^{{tree}}"),
            parents: vec![commit],
            conflicts: Vec::new(),
        };
        if clone.is_in(theirs, ours)? {
            return Ok(one(ours));
        }
        if clone.is_in(ours, theirs)? {
            return Ok(one(theirs));
        }
        let (first, second) = (ours.to_string(), theirs.to_string());
        let arguments = [
            "merge-tree",
            "--write-tree",
            "--allow-unrelated-histories",
            "--name-only",
            "--no-messages",
            "-z",
            &first,
            &second,
        ];
        let done = clone.git.run(&arguments, LOCAL)?;
        if !done.success && done.code != Some(1) {
            return Err(errors::explain("merging in the clone", &done.said));
        }
        let printed = String::from_utf8_lossy(&done.out);
        let mut parts = printed.split('\0').filter(|part| !part.is_empty());
        let tree = parts.next().and_then(ObjectId::parse);
        let tree = tree.ok_or_else(|| Error::new(ErrorKind::Io, "git merge-tree names no tree"))?;
        let conflicts = parts.map(str::to_owned).collect();
        Ok(Self { tree: tree.to_string(), parents: vec![ours, theirs], conflicts })
    }

    /// Refuses a merge that needs a person.
    ///
    /// # Errors
    /// When Git could not merge a path that is not the target's own.
    pub(super) fn refuse_conflicts(&self, clone: &Clone, own: &Own) -> Result<()> {
        const SOME: Entry = Entry { mode: Mode::File, object: ObjectId::ZERO };
        let root = clone.settings.root.as_ref();
        let is_own = |path: &String| below(root, path).is_some_and(|path| own.holds(&path, SOME));
        let foreign: Vec<&str> =
            self.conflicts.iter().filter(|path| !is_own(path)).map(String::as_str).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = foreign.iter().copied().take(10).collect();
        let message = format!(
            "your commits on {} and those of its upstream conflict outside of the target: {}",
            clone.head.branch,
            shown.join(", ")
        );
        Err(Error::new(ErrorKind::Changed, message)
            .with_code("git_conflict")
            .with_hint("merge by hand (`git pull --no-rebase`), then run again"))
    }
}

/// Puts a tree together: what is the target's own as `agreed` says, everything else as the merge says.
///
/// # Errors
/// When it cannot be written, or the merge needs a person.
pub(super) fn compose(
    clone: &Clone,
    own: &Own,
    merged: Merged,
    agreed: &Tree,
    scratch: &std::path::Path,
) -> Result<Composed> {
    merged.refuse_conflicts(clone, own)?;
    let there = clone.tree(&merged.tree)?;
    let (mut gone, mut put) = (String::new(), String::new());
    let root = clone.settings.root.as_ref();
    let paths: BTreeSet<&ItemPath> = there.entries.keys().chain(agreed.entries.keys()).collect();
    for path in paths {
        let (now, wanted) = (there.entries.get(path), agreed.entries.get(path));
        if now == wanted || !now.or(wanted).is_some_and(|entry| own.holds(path, *entry)) {
            continue;
        }
        let name = whole(root, path);
        match wanted {
            Some(entry) => put.push_str(&format!("{} {}\t{name}\0", entry.mode.text(), entry.object)),
            None => gone.push_str(&removal(&name, clone.head.commit)),
        }
    }
    let merged_tree = succeeded(clone.git.run(&["rev-parse", "--verify", &merged.tree], LOCAL)?, "looking")?;
    let merged_tree = String::from_utf8_lossy(&merged_tree.out).trim().to_owned();
    let tree = if gone.is_empty() && put.is_empty() {
        merged_tree.clone()
    } else {
        // What goes makes room first: a file may give way to a folder, and a folder to a file.
        write_tree(clone, &merged_tree, &(gone + &put), scratch)?
    };
    let nothing_new = merged.parents.len() == 1 && tree == merged_tree;
    Ok(Composed { tree, parents: merged.parents, nothing_new })
}

/// The line by which `git update-index --index-info` removes a path; `like` tells how long hashes are.
pub(super) fn removal(name: &str, like: ObjectId) -> String {
    format!("0 {}\t{name}\0", "0".repeat(2 * like.as_bytes().len()))
}

/// Writes a tree with these edits, through an index of ours.
fn write_tree(clone: &Clone, tree: &str, edits: &str, scratch: &std::path::Path) -> Result<String> {
    let index = Index::new(scratch)?;
    succeeded(index.run(&clone.git, &["read-tree", tree], "")?, "reading a tree")?;
    let arguments = ["update-index", "--add", "--replace", "-z", "--index-info"];
    succeeded(index.run(&clone.git, &arguments, edits)?, "putting a tree together")?;
    let done = succeeded(index.run(&clone.git, &["write-tree"], "")?, "writing a tree")?;
    Ok(String::from_utf8_lossy(&done.out).trim().to_owned())
}

/// An index of ours, gone with this value.
pub(super) struct Index(std::path::PathBuf);

impl Index {
    /// Makes room for an index in a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn new(scratch: &std::path::Path) -> Result<Self> {
        let failed = |error| Error::io(error, format_args!("making {}", scratch.display()));
        super::make_private(scratch).map_err(failed)?;
        let index = Self(scratch.join("index"));
        index.clear();
        Ok(index)
    }

    /// Where it is.
    pub(super) fn file(&self) -> &std::path::Path {
        &self.0
    }

    /// Runs Git with it.
    ///
    /// # Errors
    /// When Git cannot be started.
    pub(super) fn run(
        &self,
        git: &Git,
        arguments: &[&str],
        input: &str,
    ) -> Result<super::super::command::Done> {
        let place = self.0.to_string_lossy().into_owned();
        git.feed(arguments, &[("GIT_INDEX_FILE", place)], LOCAL, |to| to.write_all(input.as_bytes()))
    }

    fn clear(&self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.0.with_extension("lock"));
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.clear();
    }
}
