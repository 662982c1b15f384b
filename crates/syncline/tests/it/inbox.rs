//! The inbox: taking merged versions, merging in an editor, taking decisions back, reporting.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::{Ran, World};

const BASE: &str = "one\ntwo\nthree\nfour\nfive\n";
const LOCAL: &str = "ONE\ntwo\nthree\nfour\nfive\n";
const REMOTE: &str = "one\ntwo\nthree\nfour\nFIVE\n";
const BOTH: &str = "ONE\ntwo\nthree\nfour\nFIVE\n";
const CLASH: &str = "uno\ntwo\nthree\nfour\nfive\n";

/// A workspace with a conflict at `path` under `policy`: both sides changed `base`, the remote later.
fn world(policy: &str, path: &str, base: &str, local: &str, remote: &str) -> World {
    let world = World::with(&format!("conflicts: {policy}"));
    world.write_local(path, base);
    world.expect(0, &["run"]);
    world.write_local(path, local);
    world.write_remote(path, remote);
    let later = SystemTime::now() + Duration::from_secs(2);
    File::options().write(true).open(world.remote(path)).unwrap().set_modified(later).unwrap();
    let code = world.run(&["run"]).code;
    assert!(code == 0 || code == 5, "{code}");
    world
}

fn copies(world: &World) -> Vec<String> {
    World::names(&world.path("local")).into_iter().filter(|name| name.contains(".conflict-")).collect()
}

/// Runs `conflicts resolve --edit` with a shell script as the editor; `$1` is the merged file.
fn edit(world: &World, path: &str, script: &str) -> Ran {
    let editor = world.path("editor.sh");
    fs::write(&editor, script).unwrap();
    let mut command = world.command(&["conflicts", "resolve", path, "--edit"]);
    command.env_remove("VISUAL").env("EDITOR", format!("sh '{}'", editor.display()));
    Ran::from(command.output().unwrap())
}

#[test]
fn what_merges_cleanly_is_taken_merged() {
    for policy in ["manual", "keep-both"] {
        let world = world(policy, "a.md", BASE, LOCAL, REMOTE);
        let id = world.conflict();
        let shown = world.expect(0, &["conflicts", "show", &id]);
        assert!(shown.out.contains("--take merged"), "{}", shown.out);
        let settled = world.expect(0, &["conflicts", "resolve", &id, "--take", "merged"]);
        assert!(settled.out.contains("took merged"), "{}", settled.out);
        assert_eq!(world.agreed("a.md").as_deref(), Some(BOTH), "{policy}");
        assert!(copies(&world).is_empty(), "{policy}");
        let record = &world.json(0, &["conflicts", "show", &id])["conflict"];
        assert_eq!(
            (record["open"].as_bool(), record["resolution"].as_str()),
            (Some(false), Some("took merged"))
        );
        assert_eq!(record["merged"]["size"], BOTH.len());
        world.expect(0, &["run"]);
        assert_eq!(world.json(0, &["plan"])["targets"][0]["steps"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn what_people_did_beside_each_other_since_is_merged_too() {
    let world = world("keep-both", "a.md", BASE, LOCAL, REMOTE);
    let copy = copies(&world).remove(0);
    world.write_local(&copy, "ONE\ntwo\nTHREE\nfour\nfive\n");
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "merged"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("ONE\ntwo\nTHREE\nfour\nFIVE\n"));
    assert!(copies(&world).is_empty());
}

#[test]
fn the_policy_of_the_path_merges_where_it_can() {
    let world =
        world("manual", "a.json", "{\"a\": 1, \"b\": 1}", "{\"a\": 2, \"b\": 1}", "{\"a\": 1, \"b\": 2}");
    world.expect(0, &["conflicts", "resolve", "a.json", "--take", "merged"]);
    assert_eq!(world.agreed("a.json").as_deref(), Some("{\"a\": 2, \"b\": 2}"));
}

#[test]
fn what_does_not_merge_cleanly_is_refused_and_nothing_changes() {
    for policy in ["manual", "keep-both"] {
        let world = world(policy, "a.md", BASE, LOCAL, CLASH);
        let before = (world.read_local("a.md"), world.read_remote("a.md"), copies(&world));
        let refused = world.expect(1, &["conflicts", "resolve", "a.md", "--take", "merged"]);
        assert!(refused.out.contains("both sides changed line 1"), "{}", refused.out);
        assert!(refused.out.contains("--edit"), "{}", refused.out);
        assert_eq!((world.read_local("a.md"), world.read_remote("a.md"), copies(&world)), before, "{policy}");
        world.conflict();
    }
}

#[test]
fn a_version_that_changed_since_is_not_merged_away() {
    let world = world("manual", "a.md", BASE, LOCAL, REMOTE);
    let id = world.conflict();
    world.write_remote("a.md", "something else\n");
    let refused = world.expect(1, &["conflicts", "resolve", &id, "--take", "merged"]);
    assert!(refused.out.contains("is not there any more"), "{}", refused.out);
    assert_eq!(world.read_local("a.md").as_deref(), Some(LOCAL));
    assert_eq!(world.read_remote("a.md").as_deref(), Some("something else\n"));
}

#[test]
fn markers_are_finished_in_the_file_or_one_version_is_taken() {
    let marked = || {
        let world = world("markers", "a.md", BASE, LOCAL, CLASH);
        assert!(world.agreed("a.md").unwrap().contains("<<<<<<<"));
        let refused = world.expect(1, &["conflicts", "resolve", "a.md", "--take", "merged"]);
        assert!(refused.out.contains("finish the markers first"), "{}", refused.out);
        world
    };
    let finished = marked();
    finished.write_local("a.md", BOTH);
    finished.expect(0, &["conflicts", "resolve", "a.md", "--take", "merged"]);
    assert_eq!(finished.agreed("a.md").as_deref(), Some(BOTH));
    for (take, expected) in [("local", LOCAL), ("remote", CLASH)] {
        let world = marked();
        world.expect(0, &["conflicts", "resolve", "a.md", "--take", take]);
        assert_eq!(world.agreed("a.md").as_deref(), Some(expected));
        assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
    }
    let both = marked();
    both.expect(0, &["conflicts", "resolve", "a.md", "--take", "both"]);
    assert_eq!(both.agreed("a.md").as_deref(), Some(LOCAL));
    assert_eq!(both.agreed(&copies(&both)[0]).as_deref(), Some(CLASH));
    both.expect(0, &["run"]);
}

#[test]
fn an_editor_finishes_the_merge() {
    for policy in ["manual", "keep-both", "markers"] {
        let world = world(policy, "a.md", BASE, LOCAL, CLASH);
        let script = "set -e\ncd \"$(dirname \"$1\")\"\ngrep -q '<<<<<<<' MERGED.md\n[ \"$(head -1 BASE.md)\" = one ]\n\
                      [ \"$(head -1 \"$LOCAL\")\" = ONE ]\n[ \"$(head -1 \"$REMOTE\")\" = uno ]\n\
                      [ \"$(stat -c %a .)\" = 700 ]\nprintf 'by hand\\n' > \"$1\"\n";
        let ran = edit(&world, "a.md", script);
        assert_eq!(ran.code, 0, "{policy}: {}{}", ran.out, ran.err);
        assert_eq!(world.agreed("a.md").as_deref(), Some("by hand\n"), "{policy}");
        assert!(copies(&world).is_empty());
        assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
    }
}

#[test]
fn an_editor_that_finishes_nothing_changes_nothing() {
    let world = world("keep-both", "a.md", BASE, LOCAL, CLASH);
    for (script, why) in [
        ("exit 3", "exit status: 3"),
        ("true", "markers are left"),
        ("echo more >> \"$1\"", "markers are left"),
        ("rm \"$1\"", "reading what was merged"),
    ] {
        let ran = edit(&world, "a.md", script);
        assert_eq!(ran.code, 1, "{script}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why), "{script}: {}", ran.err);
        assert_eq!(world.agreed("a.md").as_deref(), Some(CLASH), "{script}");
        world.conflict();
    }
    let mut none = world.command(&["conflicts", "resolve", "a.md", "--edit"]);
    let none = Ran::from(none.env_remove("VISUAL").env_remove("EDITOR").output().unwrap());
    assert_eq!(none.code, 2);
    assert!(none.err.contains("merge_tool"), "{}", none.err);
    world.expect(2, &["conflicts", "resolve", "a.md", "b.md", "--edit"]);
    world.expect(2, &["conflicts", "resolve", "a.md"]);
}

#[test]
fn a_clean_merge_that_the_editor_leaves_alone_is_not_taken() {
    let world = world("keep-both", "a.md", BASE, LOCAL, REMOTE);
    let ran = edit(&world, "a.md", "true");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("--take merged"), "{}", ran.err);
    world.conflict();
}

#[test]
fn what_was_merged_of_versions_that_changed_meanwhile_is_kept_aside() {
    let world = world("keep-both", "a.md", BASE, LOCAL, CLASH);
    let script = format!("echo mine > \"$1\"\necho later > '{}'\n", world.local("a.md").display());
    let ran = edit(&world, "a.md", &script);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("edited again"), "{}", ran.out);
    let kept = ran.err.lines().find_map(|line| line.split("kept at ").nth(1)).unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "mine\n");
    fs::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
    assert_eq!(world.read_local("a.md").as_deref(), Some("later\n"));
    world.conflict();
}

#[test]
fn a_merge_tool_gets_paths_and_no_shell_reads_them() {
    let world = world("keep-both", "a b;$(touch evil).md", BASE, LOCAL, CLASH);
    let tool = world.path("tool.sh");
    fs::write(&tool, "cat \"$2\" \"$3\" > \"$4\"\n").unwrap();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let line = format!("merge_tool: \"sh '{}' $BASE ${{LOCAL}} $REMOTE $MERGED\"\n", tool.display());
    world.configure(&(text + &line));
    let ran = world.expect(0, &["conflicts", "resolve", &world.conflict(), "--edit"]);
    assert!(!ran.err.contains("warning"), "{}", ran.err);
    assert_eq!(world.agreed("a b;$(touch evil).md"), Some(format!("{LOCAL}{CLASH}")));
    assert!(!world.local("evil").exists());
}

#[test]
fn programs_merge_without_an_editor() {
    let world = world("keep-both", "a.md", BASE, LOCAL, CLASH);
    let id = world.conflict();
    let call = |code: i32, name: &str, request: serde_json::Value| {
        world.json(code, &["call", name, "--json", &request.to_string()])
    };
    let merge = call(0, "merge_conflict", serde_json::json!({ "id": id }));
    assert_eq!(merge["clean"], false);
    assert!(merge["text"].as_str().unwrap().contains("|||||||"), "{merge:#}");
    let request = |take: &str, content: &str| serde_json::json!({ "conflicts": [id], "take": take, "content": content });
    call(2, "resolve_conflict", request("merged", merge["text"].as_str().unwrap()));
    call(2, "resolve_conflict", request("local", "text"));
    let settled = call(0, "resolve_conflict", request("merged", "by a program\n"));
    assert_eq!(settled["conflicts"][0]["resolved"], true, "{settled:#}");
    assert_eq!(world.agreed("a.md").as_deref(), Some("by a program\n"));
}

#[test]
fn every_way_of_settling_can_be_taken_back() {
    let cases: [(&str, &[&str]); 7] = [
        ("merge", &[]),
        ("newest", &[]),
        ("markers", &[]),
        ("keep-both", &["local"]),
        ("keep-both", &["merged"]),
        ("manual", &["remote"]),
        ("manual", &["merged"]),
    ];
    for (policy, take) in cases {
        let remote = if policy == "markers" { CLASH } else { REMOTE };
        let world = world(policy, "a.md", BASE, LOCAL, remote);
        for take in take {
            world.expect(0, &["conflicts", "resolve", "a.md", "--take", take]);
        }
        let before = world.agreed("a.md").unwrap();
        let aborted = world.expect(0, &["conflicts", "abort", "a.md"]);
        assert!(aborted.out.contains("opened again"), "{policy}: {}", aborted.out);
        assert_eq!(world.agreed("a.md").as_deref(), Some(LOCAL), "{policy} {take:?}");
        assert_eq!(copies(&world).len(), 1, "{policy} {take:?}");
        assert_eq!(world.agreed(&copies(&world)[0]).as_deref(), Some(remote), "{policy} {take:?}");
        let list = world.json(0, &["conflicts", "list"]);
        assert_eq!(list["conflicts"][0]["open"], true, "{list:#}");
        assert_eq!(world.json(0, &["history"])["runs"][0]["cause"], "conflict opened again");
        world.expect(5, &["run"]);
        let again = world.expect(1, &["conflicts", "abort", "a.md"]);
        assert!(again.out.contains("side by side already"), "{}", again.out);
        world.expect(0, &["rollback", "last"]);
        assert_eq!(
            world.agreed("a.md").as_deref(),
            Some(before.as_str()),
            "{policy} {take:?}: undone as a run is"
        );
    }
}

#[test]
fn taking_both_is_taken_back_without_a_change() {
    let world = world("keep-both", "a.md", BASE, LOCAL, REMOTE);
    let names = copies(&world);
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "both"]);
    let runs = world.json(0, &["history"])["runs"].as_array().unwrap().len();
    world.expect(0, &["conflicts", "abort", "a.md"]);
    assert_eq!(world.json(0, &["history"])["runs"].as_array().unwrap().len(), runs);
    assert_eq!(copies(&world), names);
    world.expect(0, &["conflicts", "resolve", "a.md", "--take", "local"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some(LOCAL));
}

#[test]
fn a_glob_leaves_alone_what_was_edited_since_and_a_name_does_not() {
    let world = world("newest", "a.md", BASE, LOCAL, REMOTE);
    world.write_local("a.md", "goes on\n");
    world.expect(0, &["run"]);
    let refused = world.expect(1, &["conflicts", "abort", "*.md"]);
    assert!(refused.out.contains("edited since"), "{}", refused.out);
    assert_eq!(world.agreed("a.md").as_deref(), Some("goes on\n"));
    world.expect(0, &["conflicts", "abort", "a.md"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some(LOCAL));
    world.expect(0, &["conflicts", "abort", "*.md"]);
    world.expect(0, &["rollback", "last"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("goes on\n"));
    world.expect(1, &["conflicts", "abort", "nothing.md"]);
}

#[test]
fn what_is_not_kept_any_more_is_not_taken_back() {
    let world = world("newest", "a.md", BASE, LOCAL, REMOTE);
    fs::remove_dir_all(world.local(".syncline/objects/bases")).ok();
    let digest = blake3::hash(LOCAL.as_bytes()).to_hex().to_string();
    let mut folders = vec![world.local(".syncline/objects")];
    let mut removed = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if digest.ends_with(path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap())
            {
                fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert_eq!(removed, 1, "the object of the loser was not found");
    let refused = world.expect(1, &["conflicts", "abort", "a.md"]);
    assert!(refused.out.contains("not kept any more"), "{}", refused.out);
    assert_eq!(world.agreed("a.md").as_deref(), Some(REMOTE));
}

#[test]
fn a_one_way_target_takes_nothing_back_on_the_other_side() {
    let world = World::with("direction: pull\nconflicts: [{ match: \"**\", policy: prefer, side: remote }]");
    world.write_remote("a.md", BASE);
    world.expect(0, &["run"]);
    world.write_local("a.md", LOCAL);
    world.write_remote("a.md", REMOTE);
    world.run(&["run"]);
    assert_eq!(world.read_local("a.md").as_deref(), Some(REMOTE), "the source won");
    let refused = world.expect(1, &["conflicts", "abort", "a.md"]);
    assert!(refused.out.contains("so the remote side is never written"), "{}", refused.out);
    assert_eq!(world.read_remote("a.md").as_deref(), Some(REMOTE));
}

#[test]
fn newest_records_both_times_the_winner_and_what_was_done() {
    let world = world("newest", "a.md", BASE, LOCAL, REMOTE);
    let list = world.json(0, &["conflicts", "list", "--all"]);
    let record = &list["conflicts"][0];
    assert_eq!((&record["policy"], &record["winner"]), (&"newest".into(), &"remote".into()));
    let (local, remote) = (record["local"]["modified"].as_str(), record["remote"]["modified"].as_str());
    assert!(local.unwrap() < remote.unwrap(), "{record:#}");
    assert_eq!(record["action"], "the remote version won; the other one is in history");
    assert!(!record["opened"].is_null() && !record["resolved"].is_null(), "{record:#}");
    assert_eq!(world.agreed("a.md").as_deref(), Some(REMOTE));
}

#[test]
fn settled_conflicts_age_out_and_open_ones_never_do() {
    let world = world(
        "[{ match: a.md, policy: newest }, { match: b.md, policy: manual }]",
        "a.md",
        BASE,
        LOCAL,
        REMOTE,
    );
    world.write_local("b.md", LOCAL);
    world.write_remote("b.md", REMOTE);
    world.expect(5, &["run"]);
    let count = || world.json(0, &["conflicts", "list", "--all"])["conflicts"].as_array().unwrap().len();
    let tidied = || {
        let stamp = File::options().write(true).open(world.local(".syncline/pruned")).unwrap();
        stamp.set_modified(SystemTime::now() - Duration::from_secs(3 * 24 * 3600)).unwrap();
        world.expect(5, &["run"]);
    };
    tidied();
    assert_eq!(count(), 2, "thirty days have not passed");
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    world.configure(&(text + "history: { conflicts_keep_days: 0 }\n"));
    tidied();
    assert_eq!(count(), 1);
    world.conflict();
}

#[test]
fn the_report_is_markdown_for_people_and_json_for_programs() {
    let world = world("newest", "a.md", BASE, LOCAL, REMOTE);
    let page = world.expect(0, &["conflicts", "report"]).out;
    assert!(page.contains("0 open · 1 settled"), "{page}");
    assert!(page.contains("| main | newest | settled | 1 |"), "{page}");
    let report = world.json(0, &["conflicts", "report"]);
    assert_eq!(report["counts"][0]["state"], "settled");
    assert_eq!(report["settled_conflicts"][0]["winner"], "remote");
    world.expect(0, &["conflicts", "abort", "a.md"]);
    for (file, begins) in [("../r.md", "# Conflicts"), ("../r.json", "{")] {
        world.expect(0, &["conflicts", "report", "--out", file]);
        let text = fs::read_to_string(world.local(file)).unwrap();
        assert!(text.starts_with(begins), "{text}");
    }
    let report: serde_json::Value = serde_json::from_slice(&fs::read(world.path("r.json")).unwrap()).unwrap();
    assert_eq!((&report["version"], &report["open"]), (&1.into(), &1.into()));
    assert_eq!(report, {
        let mut again = world.json(0, &["call", "report_conflicts"]);
        again["timestamp"] = report["timestamp"].clone();
        again["open_conflicts"][0]["age_seconds"] = report["open_conflicts"][0]["age_seconds"].clone();
        again
    });
}

#[test]
fn differences_are_shown_in_three_ways() {
    let world = world("manual", "a.md", BASE, LOCAL, "one\ntwo\nthree\nfour\nFIVE\u{1b}[2J\n");
    let show = |how: &str| {
        let mut command = world.command(&["conflicts", "show", "a.md", "--diff", how]);
        Ran::from(command.env("COLUMNS", "60").output().unwrap()).out
    };
    assert!(show("unified").contains("-ONE\n+one\n"), "{}", show("unified"));
    let side_by_side = show("side-by-side");
    assert!(side_by_side.contains("ONE                          | one"), "{side_by_side}");
    let three_way = show("three-way");
    assert!(
        three_way.contains("--- base\n+++ local\n") && three_way.contains("--- base\n+++ remote\n"),
        "{three_way}"
    );
    for text in [show("unified"), side_by_side, three_way] {
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}"), "{text}");
    }
    let mut command =
        world.command(&["--color", "always", "conflicts", "show", "a.md", "--diff", "side-by-side"]);
    assert!(Ran::from(command.output().unwrap()).out.contains("\u{1b}[31m"));
}

#[test]
fn a_conflict_whose_copy_was_taken_away_is_closed() {
    let world = World::with("conflicts: keep-both");
    world.write_local("a.txt", "base");
    world.expect(0, &["run", "--ci"]);
    world.write_local("a.txt", "here");
    world.write_remote("a.txt", "there");
    world.expect(5, &["run", "--ci"]);
    let names = World::names(&world.local(""));
    let copy = names.iter().find(|name| name.contains(".conflict-")).unwrap();
    std::fs::remove_file(world.local(copy)).unwrap();
    world.expect(0, &["run", "--ci"]);
    assert!(world.expect(0, &["conflicts"]).out.contains("no open conflicts"));
}

#[test]
fn no_folder_on_either_side_is_no_success() {
    let world = World::with("path: nots");
    std::fs::remove_dir_all(world.path("remote")).unwrap();
    let ran = world.expect(4, &["run", "--ci"]);
    assert!(
        format!("{}{}", ran.out, ran.err).contains("check how the paths are written"),
        "{}{}",
        ran.out,
        ran.err
    );
}
