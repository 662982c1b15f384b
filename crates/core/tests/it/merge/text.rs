//! Three-way text.

use std::collections::BTreeSet;
use std::process::Command;

use syncline_core::merge::{
    Input, Labels, Merged, Strategy, Unclean, VERSION_BYTES_MAX, VERSION_LINES_MAX, merge,
};

use super::{clean, each_seed, input, random_versions, run, unclean};
use crate::random::Random;

#[test]
fn edits_of_different_lines_are_both_kept() {
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("apart", "a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n"),
        (
            "as the guide says",
            "milk\nbread\nbutter\n",
            "milk\nbread\nsalt\n",
            "oat milk\nbread\nbutter\n",
            "oat milk\nbread\nsalt\n",
        ),
        ("added at both ends", "a\n\nb\n", "0\na\n\nb\n", "a\n\nb\nc\n", "0\na\n\nb\nc\n"),
        ("the same edit", "a\nb\n", "a\nX\n", "a\nX\n", "a\nX\n"),
        ("the same edit and another one", "a\nb\nc\nd\n", "X\nb\nc\nd\n", "X\nb\nc\nD\n", "X\nb\nc\nD\n"),
        ("removed and edited apart", "a\nb\nc\n", "b\nc\n", "a\nb\nC\n", "b\nC\n"),
        ("carriage returns stay", "a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n", "A\r\nb\r\nC\r\n"),
        ("no last line break", "a\nb\nc", "A\nb\nc", "a\nb\nC", "A\nb\nC"),
        ("a last line break is an edit", "a\nb\nc", "A\nb\nc", "a\nb\nc\n", "A\nb\nc\n"),
        (
            "a byte order mark stays",
            "\u{feff}a\nb\nc\n",
            "\u{feff}a\nb\nC\n",
            "\u{feff}A\nb\nc\n",
            "\u{feff}A\nb\nC\n",
        ),
    ];
    for &(what, base, local, remote, expected) in cases {
        assert_eq!(clean(&Strategy::Text, Some(base), local, remote), expected, "{what}");
        assert_eq!(clean(&Strategy::Text, Some(base), remote, local), expected, "{what}, other way round");
    }
}

#[test]
fn what_meets_is_refused_with_its_place() {
    let overlap = unclean(&Strategy::Text, Some("1\n2\n3\n4\n5\n"), "1\nx\n3\n4\n5\n", "1\ny\n3\n4\n5\n");
    assert_eq!(overlap, Unclean::Overlap { first: 2, last: 2, places: 1 });
    assert_eq!(overlap.code(), "overlap");
    assert_eq!(overlap.to_string(), "both sides changed line 2 of the local version");
    // Adjoining lines conflict too, as they do for Git.
    unclean(&Strategy::Text, Some("1\n2\n"), "x\n2\n", "1\ny\n");
    let two = unclean(&Strategy::Text, Some("1\n2\n3\n"), "a\n2\nb\n", "c\n2\nd\n");
    assert_eq!(two, Unclean::Overlap { first: 1, last: 1, places: 2 });
    assert_eq!(unclean(&Strategy::Text, None, "a\n", "a\nb\n"), Unclean::NoBase);
    assert_eq!(unclean(&Strategy::Text, Some("a"), "b\0", "c"), Unclean::Binary { version: "local" });
}

#[test]
fn bytes_that_are_not_text_in_utf8_merge_as_bytes() {
    let versions = Input { base: Some(b"\xff\nb\nc\n"), local: b"\xfe\nb\nc\n", remote: b"\xff\nb\n\xfd\n" };
    assert_eq!(
        run(&Strategy::Text, &versions),
        Merged::Clean { bytes: b"\xfe\nb\n\xfd\n".to_vec(), decided: Vec::new() }
    );
}

#[test]
fn what_is_too_large_is_refused_and_what_only_one_side_changed_is_not() {
    let large = "x".repeat(VERSION_BYTES_MAX + 1);
    let too_large = Unclean::TooLarge { version: "local", bytes: large.len(), bytes_max: VERSION_BYTES_MAX };
    assert_eq!(unclean(&Strategy::Text, Some("a"), &large, "b"), too_large);
    assert_eq!(clean(&Strategy::Text, Some("a"), &large, "a"), large);
    let many = "\n".repeat(VERSION_LINES_MAX + 1);
    let too_many = Unclean::TooMany { version: "remote", lines_max: VERSION_LINES_MAX };
    assert_eq!(unclean(&Strategy::Text, Some("a"), "b", &many), too_many);
}

/// Unique lines, so that an edit can be told from its absence: what a side added is there, what it removed is not.
#[test]
fn no_edit_is_ever_dropped() {
    each_seed("no_edit_is_ever_dropped", |random| {
        let base: Vec<u64> = (0..random.below(30) as u64).collect();
        let mut fresh = 1_000;
        let mut edit = |random: &mut Random| {
            let mut lines = base.clone();
            for _ in 0..random.below(5) {
                let at = random.below(lines.len() + 1);
                if at < lines.len() && random.chance(50) {
                    lines.remove(at);
                } else {
                    fresh += 1;
                    lines.insert(at, fresh);
                }
            }
            lines
        };
        let (local, remote) = (edit(random), edit(random));
        let text = |lines: &[u64]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let versions = [&base, &local, &remote].map(|lines| text(lines));
        let Merged::Clean { bytes, .. } =
            run(&Strategy::Text, &input(Some(&versions[0]), &versions[1], &versions[2]))
        else {
            return;
        };
        let merged: Vec<u64> =
            String::from_utf8(bytes).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        let set = |lines: &[u64]| lines.iter().copied().collect::<BTreeSet<u64>>();
        let (old, here, there) = (set(&base), set(&local), set(&remote));
        let kept = old.iter().filter(|line| here.contains(line) && there.contains(line));
        let added = here.union(&there).filter(|line| !old.contains(line));
        assert_eq!(set(&merged), kept.chain(added).copied().collect());
        let common = |order: &[u64], other: &BTreeSet<u64>| -> Vec<u64> {
            order.iter().copied().filter(|line| other.contains(line)).collect()
        };
        for (side, lines) in [(&local, &here), (&remote, &there)] {
            assert_eq!(common(&merged, lines), common(side, &set(&merged)), "the order of a side is kept");
        }
    });
}

#[test]
fn merging_text_has_its_algebra() {
    each_seed("merging_text_has_its_algebra", |random| {
        let (base, local, remote) = random_versions(random);
        for strategy in [Strategy::Text, Strategy::Markers] {
            assert_eq!(clean(&strategy, Some(&base), &local, &local), local);
            assert_eq!(clean(&strategy, Some(&base), &local, &base), local);
            assert_eq!(clean(&strategy, Some(&base), &base, &remote), remote);
        }
        let one = run(&Strategy::Text, &input(Some(&base), &local, &remote));
        let other = run(&Strategy::Text, &input(Some(&base), &remote, &local));
        match (&one, &other) {
            (Merged::Unclean(one), Merged::Unclean(other)) => assert_eq!(one.code(), other.code()),
            _ => assert_eq!(one, other, "the sides are equal"),
        }
        assert_eq!(one, run(&Strategy::Text, &input(Some(&base), &local, &remote)), "stable");
    });
}

/// The same verdict as Git, and the same bytes when it is clean.
#[test]
fn text_merges_as_git_does() {
    let Ok(version) = Command::new("git").arg("--version").output() else {
        println!("git is not installed: not compared");
        return;
    };
    assert!(version.status.success());
    let folder = std::env::temp_dir().join(format!("syncline-merge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut conflicts = 0;
    for seed in crate::random::seeds("SYNCLINE_GIT_CASES", 300) {
        let (base, local, remote) = random_versions(&mut Random(seed));
        for (name, text) in [("base", &base), ("local", &local), ("remote", &remote)] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let git = Command::new("git")
            .args(["merge-file", "--diff3", "-p", "local", "base", "remote"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let versions = input(Some(&base), &local, &remote);
        let shown = format!("seed {seed}: base {base:?} local {local:?} remote {remote:?}");
        match merge(&Strategy::Text, &versions, &Labels::default()) {
            Merged::Clean { bytes, .. } => {
                assert!(git.status.success(), "Git sees a conflict; {shown}");
                assert_eq!(
                    String::from_utf8(bytes).unwrap(),
                    String::from_utf8(git.stdout).unwrap(),
                    "{shown}"
                );
            }
            Merged::Unclean(Unclean::Overlap { places, .. }) => {
                assert_eq!(git.status.code(), Some(places as i32), "{shown}");
                conflicts += 1;
            }
            Merged::Unclean(Unclean::OpenMarkers { .. }) => {}
            other => panic!("{other:?}; {shown}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{conflicts} conflicts");
}
