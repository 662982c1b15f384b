//! Everything that takes its time.

use super::support::Pair;

/// Both have edits in the target and commits outside of it, so that a merge with all that belongs to it is to be made.
fn prepared(settings: &str) -> Pair {
    let pair = Pair::with(settings, "path: shared");
    for name in ["a", "b", "c", "d"] {
        pair.one.write(&format!("shared/{name}"), &format!("{name}\n"));
    }
    pair.one.write("code.c", "old\n");
    pair.one.write("mine.c", "old\n");
    pair.one.commit("start of everything");
    pair.one.git(&["push", "--quiet"]);
    pair.two.git(&["pull", "--quiet"]);
    pair.one.sync();
    pair.two.write("shared/theirs", "theirs\n");
    pair.two.write("shared/d", "d, theirs\n");
    pair.two.write("code.c", "new\n");
    pair.two.commit("by hand");
    pair.two.git(&["push", "--quiet"]);
    pair.one.write("mine.c", "new\n");
    pair.one.git(&["commit", "--quiet", "-a", "-m", "mine"]);
    pair.one.write("shared/a", "edited\n");
    pair.one.write("shared/new", "new\n");
    pair.one.remove("shared/b");
    std::fs::rename(pair.one.path("shared/c"), pair.one.path("shared/moved")).unwrap();
    pair
}

fn is_as_it_should_be(pair: &Pair, pushed: bool, told: &str) {
    let names = ["code.c", "mine.c", "shared/a", "shared/d", "shared/moved", "shared/new", "shared/theirs"];
    let files = [
        ("code.c", "new\n"),
        ("mine.c", "new\n"),
        ("shared/a", "edited\n"),
        ("shared/d", "d, theirs\n"),
        ("shared/moved", "c\n"),
        ("shared/new", "new\n"),
        ("shared/theirs", "theirs\n"),
    ];
    assert_eq!(pair.one.files(), names, "{told}");
    for (name, text) in files {
        assert_eq!(pair.one.read(name).as_deref(), Some(text), "{told}: {name}");
        assert_eq!(pair.one.git(&["show", &format!("HEAD:{name}")]), text, "{told}: {name}");
    }
    assert_eq!(pair.one.status(), "", "{told}");
    if pushed {
        assert_eq!(pair.tip(), pair.one.head(), "{told}");
        assert_eq!(pair.listed(), names, "{told}");
    }
    assert_eq!(pair.one.git(&["fsck", "--strict", "--no-dangling"]), "", "{told}");
}

/// The calls of Git that change something; being killed at another one is being killed after the last of these.
const CHANGING: &str = "fetch|push|fast-import|commit-tree|write-tree|read-tree|update-index|update-ref";

fn killed_everywhere(settings: &str, when: &str, pushed: bool) {
    let mut killed = 0;
    for at in 1.. {
        let pair = prepared(settings);
        let count = pair.path("count");
        let here = format!(
            "case $1 in {CHANGING}) echo >> '{0}'; now=$(wc -l < '{0}') ;; *) now=0 ;; esac",
            count.display()
        );
        let kill = format!("if [ $now = {at} ]; then kill -9 $PPID; exit 1; fi");
        let (before, after) = match when {
            "before" => (format!("{here}\n{kill}"), String::new()),
            _ => (here, kill),
        };
        let ended = pair.one.command_with_git(&before, &after, &["run"]).output().unwrap();
        let last = ended.status.success();
        killed += usize::from(!last);
        pair.one.sync();
        is_as_it_should_be(&pair, pushed, &format!("killed {when} call {at}"));
        let report = pair.one.json(0, &["run"]);
        assert_eq!(report["results"][0]["message"], "nothing to do", "killed {when} call {at}: {report}");
        if last {
            break;
        }
    }
    assert!(killed > 8, "only {killed} calls were killed");
}

#[test]
fn killed_before_any_change_by_git_equals_not_killed() {
    killed_everywhere("", "before", true);
}

#[test]
fn killed_after_any_change_by_git_equals_not_killed() {
    killed_everywhere("", "after", true);
}

#[test]
fn killed_before_any_change_by_git_with_commits_that_stay_equals_not_killed() {
    killed_everywhere(", commit: commit", "before", false);
}
