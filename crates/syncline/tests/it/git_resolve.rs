//! Repositories that Git stopped in a merge, a rebase, a cherry-pick, a revert, and the merge driver.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::Ran;

const BASE: &str = "one\ntwo\nthree\nfour\nfive\n";
const OURS: &str = "ONE\ntwo\nthree\nfour\nfive\n";
const THEIRS: &str = "uno\ntwo\nthree\nfour\nFIVE\n";

/// A repository with a branch `main` and a branch `side`, both of which changed what they started from.
struct Repo {
    folder: TempDir,
}

impl Repo {
    /// Each file with what it holds at the start, on `main` and on `side`; `None` is no file.
    fn new(files: &[(&str, [Option<&str>; 3])]) -> Self {
        Self::with(&[], files)
    }

    /// As [`Repo::new`], with more options for `git init`.
    fn with(init: &[&str], files: &[(&str, [Option<&str>; 3])]) -> Self {
        let repo = Self { folder: tempfile::tempdir().unwrap() };
        repo.git(&[&["init", "-q", "-b", "main"], init].concat());
        for (key, value) in [("user.name", "t"), ("user.email", "t@example.org"), ("commit.gpgsign", "false")]
        {
            repo.git(&["config", key, value]);
        }
        repo.write("unrelated", "x");
        repo.version(files, 0, "start");
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.version(files, 2, "theirs");
        repo.git(&["checkout", "-q", "main"]);
        repo.version(files, 1, "ours");
        repo
    }

    fn version(&self, files: &[(&str, [Option<&str>; 3])], which: usize, message: &str) {
        for (path, versions) in files {
            match versions[which] {
                Some(text) => self.write(path, text),
                None => drop(fs::remove_file(self.path(path))),
            }
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", self.path(".git/no-global")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env_remove("SYNCLINE_CONFIG").env_remove("SYNCLINE_STATE").env("GIT_EDITOR", "true");
        command
    }

    /// Runs Git, which must not fail.
    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        let ran = Ran::from(self.command("git", arguments).output().unwrap());
        assert_eq!(ran.code, 0, "git {arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs Git, which must stop at a conflict.
    #[track_caller]
    fn stops(&self, arguments: &[&str]) {
        let ran = Ran::from(self.command("git", arguments).output().unwrap());
        assert_eq!(ran.code, 1, "git {arguments:?}: {}{}", ran.out, ran.err);
    }

    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = Ran::from(self.command(env!("CARGO_BIN_EXE_syncline"), arguments).output().unwrap());
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.out, ran.err);
        ran
    }

    #[track_caller]
    fn resolve(&self, code: i32, arguments: &[&str]) -> Value {
        let all = [&["git", "resolve", "--format", "json", "--resolve"], arguments].concat();
        let value: Value = serde_json::from_str(&self.expect(code, &all).out).unwrap();
        assert_eq!(value["version"], 1);
        value
    }

    fn status(&self) -> String {
        self.git(&["status", "--porcelain", "-z"]).replace('\0', "\n")
    }

    /// The names of files that were given a name of their own beside another.
    fn copies(&self) -> Vec<String> {
        let names = self.git(&["ls-files", "-z"]);
        names.split('\0').filter(|name| name.contains(".conflict-")).map(str::to_owned).collect()
    }
}

#[test]
fn a_merge_is_settled_and_nothing_is_committed_unasked() {
    let repo = Repo::new(&[
        (
            "a.json",
            [Some("{\"a\": 1, \"b\": 1}"), Some("{\"a\": 2, \"b\": 1}"), Some("{\"a\": 1, \"b\": 2}")],
        ),
        ("clash.md", [Some(BASE), Some(OURS), Some(THEIRS)]),
        ("both.txt", [None, Some("here\n"), Some("there\n")]),
        ("gone-there.md", [Some("base\n"), Some("edited\n"), None]),
        ("gone-here.md", [Some("base\n"), None, Some("edited there\n")]),
        ("logo.bin", [Some("\0base"), Some("\0ours"), Some("\0theirs")]),
    ]);
    repo.stops(&["merge", "side"]);
    let check = repo.expect(5, &["git", "resolve"]);
    for line in [
        "a merge is in progress (local: main, remote: side); 6 unmerged paths",
        "both added        both.txt",
        "deleted locally   gone-here.md",
        "deleted remotely  gone-there.md",
        "both modified     a.json",
    ] {
        assert!(check.out.contains(line), "{line}: {}", check.out);
    }
    let head = repo.git(&["rev-parse", "HEAD"]);
    let resolved = repo.resolve(0, &[]);
    assert_eq!((&resolved["unmerged"], &resolved["committed"]), (&0.into(), &false.into()), "{resolved:#}");
    assert_eq!(repo.read("a.json").as_deref(), Some("{\"a\": 2, \"b\": 2}"));
    assert_eq!(repo.read("clash.md").as_deref(), Some(OURS));
    assert_eq!(repo.read("gone-there.md").as_deref(), Some("edited\n"));
    assert_eq!(repo.read("gone-here.md").as_deref(), Some("edited there\n"));
    assert_eq!(repo.read("both.txt").as_deref(), Some("here\n"));
    let others: Vec<String> = repo.copies().iter().map(|copy| repo.read(copy).unwrap()).collect();
    assert_eq!(others, ["there\n", THEIRS, "\0theirs"]);
    assert!(repo.copies().iter().all(|copy| copy.contains("-side-")), "{:?}", repo.copies());
    assert_eq!(repo.git(&["rev-parse", "HEAD"]), head);
    assert!(!repo.status().contains("UU"), "{}", repo.status());
    assert!(repo.git(&["diff"]).is_empty(), "the work tree is what the index says");
    assert!(repo.expect(0, &["git", "resolve"]).out.contains("0 unmerged paths"));
    let again = repo.resolve(0, &["--commit"]);
    assert_eq!(again["committed"], true, "{again:#}");
    assert_eq!(repo.git(&["rev-list", "--count", "--merges", "HEAD"]).trim(), "1");
    assert!(repo.expect(0, &["git", "resolve"]).out.contains("nothing is in progress"));
    assert!(repo.expect(0, &["git", "resolve", "--resolve"]).out.contains("nothing is unmerged"));
}

#[test]
fn in_a_rebase_local_is_ones_own_commit() {
    for (policy, expected) in [("local", OURS), ("remote", THEIRS)] {
        let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
        repo.stops(&["rebase", "side"]);
        let check = repo.expect(5, &["git", "resolve"]);
        assert!(check.out.contains("a rebase is in progress (local: main, remote: side)"), "{}", check.out);
        let resolved = repo.resolve(0, &["--policy", policy, "--commit"]);
        assert_eq!(resolved["committed"], true);
        assert_eq!(repo.read("a.md").as_deref(), Some(expected), "{policy}");
        assert_eq!(repo.status(), "");
        assert!(!repo.path(".git/rebase-merge").exists());
    }
}

#[test]
fn a_rebase_that_stops_again_is_told() {
    let repo = Repo::new(&[("a.md", [Some("a\n"), Some("b\n"), Some("c\n")])]);
    repo.write("a.md", "d\n");
    repo.git(&["commit", "-qam", "more"]);
    repo.stops(&["rebase", "side"]);
    let first = repo.resolve(5, &["--policy", "remote", "--commit"]);
    assert_eq!((&first["committed"], &first["unmerged"]), (&true.into(), &1.into()), "{first:#}");
    assert!(first["next"].as_str().unwrap().contains("--commit"), "{first:#}");
    assert_eq!(repo.resolve(0, &["--policy", "local", "--commit"])["committed"], true);
    assert_eq!(repo.read("a.md").as_deref(), Some("d\n"));
}

#[test]
fn a_cherry_pick_and_a_revert_are_settled() {
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.stops(&["cherry-pick", "side"]);
    assert!(repo.expect(5, &["git", "resolve", "--check"]).out.contains("a cherry-pick is in progress"));
    repo.resolve(0, &["--commit"]);
    assert_eq!(repo.read("a.md").as_deref(), Some(OURS));
    assert_eq!(repo.read(&repo.copies()[0]).as_deref(), Some(THEIRS));
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.write("a.md", &OURS.replace("ONE", "EIN"));
    repo.git(&["commit", "-qam", "more"]);
    repo.stops(&["revert", "--no-edit", "HEAD~1"]);
    assert!(repo.expect(5, &["git", "resolve"]).out.contains("a revert is in progress"));
    repo.resolve(0, &["--policy", "remote", "--commit"]);
    assert_eq!(repo.read("a.md").as_deref(), Some(BASE));
}

#[test]
fn patches_from_mails_are_settled_and_given_up() {
    let patch = |repo: &Repo| {
        let text = repo.git(&["format-patch", "-1", "--stdout", "side"]);
        repo.write(".git/patch", &text);
        let ran = Ran::from(repo.command("git", &["am", "-3", ".git/patch"]).output().unwrap());
        assert_ne!(ran.code, 0, "{}", ran.out);
    };
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    patch(&repo);
    assert!(repo.expect(5, &["git", "resolve"]).out.contains("an am is in progress"));
    repo.expect(0, &["git", "resolve", "--abort"]);
    assert_eq!((repo.read("a.md").as_deref(), repo.status()), (Some(OURS), String::new()));
    patch(&repo);
    assert_eq!(repo.resolve(0, &["--policy", "remote", "--commit"])["committed"], true);
    assert_eq!(repo.read("a.md").as_deref(), Some(THEIRS));
}

#[test]
fn a_stash_that_does_not_fit_is_settled_too() {
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.write("a.md", "stashed\n");
    repo.git(&["stash", "-q"]);
    repo.write("a.md", "committed\n");
    repo.git(&["commit", "-qam", "more"]);
    repo.stops(&["stash", "pop"]);
    repo.resolve(0, &[]);
    assert_eq!(repo.read("a.md").as_deref(), Some("committed\n"));
    assert_eq!(repo.read(&repo.copies()[0]).as_deref(), Some("stashed\n"));
}

#[test]
fn what_people_edited_or_settled_is_left_alone() {
    let file = [Some(BASE), Some(OURS), Some(THEIRS)];
    let repo = Repo::new(&[
        ("edited.md", file),
        ("half.md", file),
        ("added.md", file),
        ("gone.md", file),
        ("a.md", file),
    ]);
    repo.stops(&["merge", "side"]);
    repo.write("edited.md", "by hand\n");
    let half = repo.read("half.md").unwrap() + "a line more\n";
    repo.write("half.md", &half);
    repo.write("added.md", "settled\n");
    repo.git(&["add", "added.md"]);
    fs::remove_file(repo.path("gone.md")).unwrap();
    let resolved = repo.resolve(5, &[]);
    assert_eq!(resolved["unmerged"], 3, "{resolved:#}");
    assert_eq!(repo.read("edited.md").as_deref(), Some("by hand\n"));
    assert_eq!(repo.read("half.md"), Some(half));
    assert_eq!(repo.read("added.md").as_deref(), Some("settled\n"));
    assert_eq!(repo.read("gone.md"), None);
    assert_eq!(repo.read("a.md").as_deref(), Some(OURS));
    let told = repo.expect(5, &["git", "resolve", "--resolve"]);
    assert!(
        told.out.contains("half.md  it is no longer as Git wrote it, and has conflict markers"),
        "{}",
        told.out
    );
    repo.git(&["add", "-A"]);
    repo.expect(0, &["git", "resolve"]);
}

#[test]
fn what_was_cut_short_before_the_index_was_written_is_finished() {
    let repo = Repo::new(&[
        (
            "a.json",
            [Some("{\"a\": 1, \"b\": 1}"), Some("{\"a\": 2, \"b\": 1}"), Some("{\"a\": 1, \"b\": 2}")],
        ),
        ("a.md", [Some(BASE), Some(OURS), Some(THEIRS)]),
    ]);
    repo.stops(&["merge", "side"]);
    let (index, marked) = (fs::read(repo.path(".git/index")).unwrap(), repo.read("a.md").unwrap());
    repo.resolve(0, &[]);
    let (status, copies) = (repo.status(), repo.copies());
    for text in [OURS, marked.as_str()] {
        fs::write(repo.path(".git/index"), &index).unwrap();
        repo.write("a.md", text);
        assert_eq!(repo.resolve(0, &[])["unmerged"], 0);
        assert_eq!((repo.status(), repo.copies()), (status.clone(), copies.clone()));
    }
}

#[test]
fn every_style_and_line_end_of_git_is_known_as_its_own() {
    for style in ["merge", "diff3", "zdiff3"] {
        for crlf in ["false", "true"] {
            let repo = Repo::new(&[
                ("a.md", [Some(BASE), Some(OURS), Some(THEIRS)]),
                ("b.md", [None, Some(OURS), Some(THEIRS)]),
            ]);
            repo.git(&["config", "merge.conflictStyle", style]);
            repo.git(&["config", "core.autocrlf", crlf]);
            repo.stops(&["merge", "side"]);
            let resolved = repo.resolve(0, &[]);
            assert_eq!(resolved["unmerged"], 0, "{style} {crlf}: {resolved:#}");
            assert_eq!(repo.read("a.md").unwrap().contains("\r\n"), crlf == "true");
        }
    }
}

#[test]
fn markers_stay_unmerged_and_are_not_marked_again() {
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.stops(&["merge", "side"]);
    repo.resolve(5, &["--policy", "markers"]);
    let marked = repo.read("a.md").unwrap();
    assert!(
        marked.contains(
            "<<<<<<< local (main)\nONE\n||||||| agreed\none\n=======\nuno\n>>>>>>> remote (side)\n"
        ),
        "{marked}"
    );
    repo.resolve(5, &[]);
    assert_eq!(repo.read("a.md"), Some(marked));
    repo.git(&["checkout", "-m", "--", "a.md"]);
    repo.resolve(0, &["--policy", "newest"]);
}

#[test]
fn the_policies_of_the_workspace_count() {
    let repo = Repo::new(&[
        ("notes/list.txt", [Some("a\n"), Some("a\nb\n"), Some("a\nc\n")]),
        ("notes/wait.md", [Some(BASE), Some(OURS), Some(THEIRS)]),
        ("other.md", [Some(BASE), Some(OURS), Some(THEIRS)]),
    ]);
    repo.write("syncline.yaml", "version: \"1.0\"\ntargets:\n  notes:\n    path: notes\n    remote: { kind: folder, path: ../elsewhere }\n    conflicts:\n      - { match: \"*.txt\", policy: union }\n      - { match: \"*.md\", policy: manual }\n");
    repo.stops(&["merge", "side"]);
    let resolved = repo.resolve(5, &[]);
    let policies: Vec<&str> =
        resolved["paths"].as_array().unwrap().iter().map(|path| path["policy"].as_str().unwrap()).collect();
    assert_eq!(policies, ["union", "manual", "auto"], "{resolved:#}");
    let list = repo.read("notes/list.txt").unwrap();
    assert!(list.contains("b\n") && list.contains("c\n") && !list.contains("<<<"), "{list}");
    assert!(repo.read("notes/wait.md").unwrap().contains("<<<<<<<"));
    repo.write("syncline.yaml", "<<<<<<< broken");
    let ran = repo.expect(0, &["git", "resolve", "--resolve"]);
    assert!(ran.err.contains("cannot be used"), "{}", ran.err);
}

#[test]
fn giving_up_keeps_what_people_had_edited() {
    for stop in ["merge", "rebase", "cherry-pick"] {
        let file = [Some(BASE), Some(OURS), Some(THEIRS)];
        let repo = Repo::new(&[
            ("a.md", file),
            ("deep/edited.md", file),
            ("clean.md", [Some("x\n"), Some("x\n"), Some("y\n")]),
        ]);
        let head = repo.git(&["rev-parse", "HEAD"]);
        repo.stops(&[stop, "side"]);
        repo.write("deep/edited.md", "hours of work\n");
        let aborted = repo.expect(0, &["git", "resolve", "--abort", "--format", "json"]);
        let aborted: Value = serde_json::from_str(&aborted.out).unwrap();
        assert_eq!(aborted["kept"], serde_json::json!(["deep/edited.md"]), "{stop}: {aborted:#}");
        let folder = PathBuf::from(aborted["folder"].as_str().unwrap());
        assert_eq!(fs::read_to_string(folder.join("deep/edited.md")).unwrap(), "hours of work\n");
        assert_eq!((repo.git(&["rev-parse", "HEAD"]), repo.status()), (head, String::new()), "{stop}");
        assert_eq!(repo.read("a.md").as_deref(), Some(OURS));
        let nothing = repo.expect(1, &["git", "resolve", "--abort"]);
        assert!(nothing.err.contains("no merge, rebase"), "{}", nothing.err);
    }
}

#[test]
fn reports_are_markdown_and_json() {
    let repo = Repo::new(&[("a|b.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.stops(&["merge", "side"]);
    let page = repo.expect(0, &["git", "resolve", "--report"]).out;
    assert!(page.contains("| a\\|b.md | both modified | 24 bytes, "), "{page}");
    repo.expect(0, &["git", "resolve", "--report", "--out", ".git/report.json"]);
    let report: Value = serde_json::from_str(&repo.read(".git/report.json").unwrap()).unwrap();
    assert_eq!(
        (&report["in_progress"], &report["unmerged"][0]["local"]["size"]),
        (&"merge".into(), &24.into())
    );
}

#[cfg(unix)]
#[test]
fn names_are_names_and_links_are_not_followed() {
    let file = [Some(BASE), Some(OURS), Some(THEIRS)];
    let names = ["-rf.md", "new\nline.md", ":(glob)*.md", "*.md", "a b'\"$(touch x).md", "--help"];
    let files: Vec<(&str, [Option<&str>; 3])> =
        names.iter().map(|name| (*name, file)).chain([("in/a.md", file)]).collect();
    let repo = Repo::new(&files);
    repo.stops(&["merge", "side"]);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.md"), "outside\n").unwrap();
    fs::remove_dir_all(repo.path("in")).unwrap();
    std::os::unix::fs::symlink(outside.path(), repo.path("in")).unwrap();
    let resolved = repo.resolve(5, &[]);
    assert_eq!(resolved["unmerged"], 1, "{resolved:#}");
    for name in names {
        assert_eq!(repo.read(name).as_deref(), Some(OURS), "{name:?}");
    }
    assert_eq!(fs::read_to_string(outside.path().join("a.md")).unwrap(), "outside\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    let told = repo.expect(5, &["git", "resolve", "--check"]);
    assert!(told.out.contains("in/a.md"), "{}", told.out);
}

#[cfg(unix)]
#[test]
fn a_folder_that_became_a_link_is_left_alone_whatever_is_behind_it() {
    let repo = Repo::new(&[("in/a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.stops(&["merge", "side"]);
    let outside = tempfile::tempdir().unwrap();
    let moved = outside.path().join("in");
    fs::create_dir(&moved).unwrap();
    fs::rename(repo.path("in/a.md"), moved.join("a.md")).unwrap();
    fs::remove_dir(repo.path("in")).unwrap();
    std::os::unix::fs::symlink(&moved, repo.path("in")).unwrap();
    let before = fs::read_to_string(moved.join("a.md")).unwrap();
    repo.resolve(5, &["--policy", "local"]);
    assert!(repo.path("in").is_symlink());
    assert_eq!(fs::read_to_string(moved.join("a.md")).unwrap(), before);
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 1);
}

#[test]
fn a_preferred_side_removes_what_it_removed() {
    let edited = [Some("a\n"), Some("b\n"), None];
    let removed = [Some("a\n"), None, Some("c\n")];
    let repo = Repo::new(&[("edited.md", edited), ("removed.md", removed)]);
    repo.stops(&["merge", "side"]);
    repo.resolve(0, &["--policy", "remote", "--commit"]);
    assert_eq!((repo.read("edited.md"), repo.read("removed.md").as_deref()), (None, Some("c\n")));
    assert_eq!(repo.status(), "");
}

#[test]
fn linked_work_trees_and_longer_object_names_are_no_matter() {
    let repo = Repo::new(&[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    repo.git(&["worktree", "add", "-q", ".git/tree", "-b", "other"]);
    let tree = repo.path(".git/tree");
    let git = Command::new("git").current_dir(&tree).args(["merge", "-q", "side"]).output().unwrap();
    assert_eq!(git.status.code(), Some(1), "{git:?}");
    let resolved = repo.resolve(0, &["--repository", ".git/tree", "--commit"]);
    assert_eq!(resolved["committed"], true, "{resolved:#}");
    assert_eq!(fs::read_to_string(tree.join("a.md")).unwrap(), OURS);
    assert_eq!(repo.read("a.md").as_deref(), Some(OURS));
    let long = Repo::with(&["--object-format=sha256"], &[("a.md", [Some(BASE), Some(OURS), Some(THEIRS)])]);
    long.stops(&["merge", "side"]);
    long.resolve(0, &["--commit"]);
    assert_eq!(long.read(&long.copies()[0]).as_deref(), Some(THEIRS));
}

#[test]
fn executable_bits_and_links_are_kept() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let repo = Repo::new(&[("run.sh", [Some(BASE), Some(OURS), Some(BASE.trim_start_matches("one\n"))])]);
        repo.git(&["update-index", "--chmod=+x", "run.sh"]);
        repo.git(&["commit", "-qm", "executable"]);
        symlink("here", repo.path("link")).unwrap();
        repo.git(&["add", "link"]);
        repo.git(&["commit", "-qm", "link"]);
        repo.git(&["checkout", "-qf", "side"]);
        symlink("there", repo.path("link")).unwrap();
        repo.git(&["add", "link"]);
        repo.git(&["commit", "-qm", "link"]);
        repo.git(&["checkout", "-qf", "main"]);
        repo.stops(&["merge", "side"]);
        let resolved = repo.resolve(5, &[]);
        assert!(resolved["paths"].to_string().contains("link or a submodule"), "{resolved:#}");
        assert_eq!(resolved["unmerged"], 1, "{resolved:#}");
        assert_eq!(fs::read_link(repo.path("link")).unwrap().to_str(), Some("here"));
        let mode = fs::metadata(repo.path("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o100, 0o100);
    }
}

#[test]
fn git_asks_the_driver_once_it_is_installed() {
    let repo = Repo::new(&[
        (
            "a.json",
            [Some("{\"a\": 1, \"b\": 1}"), Some("{\"a\": 2, \"b\": 1}"), Some("{\"a\": 1, \"b\": 2}")],
        ),
        ("-x '$(touch y)'.json", [Some("{\"a\": 1}"), Some("{\"a\": 2}"), Some("{\"a\": 3}")]),
        ("a.md", [Some(BASE), Some(OURS), Some(BASE)]),
    ]);
    let told = repo.expect(0, &["git", "install-driver"]);
    assert!(told.out.contains("*.json merge=syncline"), "{}", told.out);
    for _ in 0..2 {
        repo.expect(0, &["git", "install-driver", "--attributes", "*.json"]);
    }
    assert_eq!(repo.read(".git/info/attributes").as_deref(), Some("*.json merge=syncline\n"));
    repo.expect(2, &["git", "install-driver", "--attributes", "a b"]);
    let outside = tempfile::tempdir().unwrap();
    let mut global = repo.command(env!("CARGO_BIN_EXE_syncline"), &["git", "install-driver", "--global"]);
    assert!(global.current_dir(outside.path()).status().unwrap().success());
    assert!(repo.read(".git/no-global").unwrap().contains("merge-driver -- %O %A %B %P"));
    repo.stops(&["merge", "side"]);
    assert_eq!(repo.read("a.json").as_deref(), Some("{\"a\": 2, \"b\": 2}"), "the driver merged it");
    let check = repo.expect(5, &["git", "resolve"]);
    assert!(check.out.contains("1 unmerged path\n"), "{}", check.out);
    assert!(repo.read("-x '$(touch y)'.json").unwrap().contains("<<<<<<< current"));
    assert!(!repo.path("y").exists());
}

#[test]
fn the_driver_says_whether_it_is_clean() {
    let repo = Repo::new(&[]);
    for (name, text) in [("O", BASE), ("A", OURS), ("B", THEIRS), ("C", "one\ntwo\nthree\nfour\nFIVE\n")] {
        repo.write(name, text);
    }
    repo.expect(0, &["git", "merge-driver", "--", "O", "A", "C", "a.md"]);
    assert_eq!(repo.read("A").as_deref(), Some("ONE\ntwo\nthree\nfour\nFIVE\n"));
    repo.expect(1, &["git", "merge-driver", "--", "O", "A", "B", "a.md"]);
    assert!(repo.read("A").unwrap().contains("<<<<<<< current"));
    repo.expect(0, &["git", "merge-driver", "--policy", "remote", "--", "O", "A", "B", "a.md"]);
    assert_eq!(repo.read("A").as_deref(), Some(THEIRS));
    repo.expect(1, &["git", "merge-driver", "--", "O", "missing", "B", "a.md"]);
    repo.expect(2, &["git", "merge-driver", "O", "A"]);
}

#[test]
fn wrong_use_is_told() {
    let repo = Repo::new(&[]);
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().to_str().unwrap();
    for what in ["--check", "--resolve", "--report", "--abort"] {
        let ran = repo.expect(2, &["git", "resolve", what, "--repository", outside]);
        assert!(ran.err.contains("does not lie in a Git repository"), "{}", ran.err);
    }
    repo.expect(2, &["git", "resolve", "--check", "--resolve"]);
    repo.expect(2, &["git", "resolve", "--policy", "local"]);
    repo.expect(2, &["git", "resolve", "--commit"]);
    repo.expect(2, &["git", "resolve", "--resolve", "--policy", "nonsense"]);
    repo.expect(0, &["git", "resolve"]);
}
