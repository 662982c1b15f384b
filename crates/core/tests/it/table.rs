//! The planner's table: what is agreed, what each side holds, what is to happen.

use syncline_core::{
    Choices, Digest, Direction, Guard, Kind, MergeResult, Merging, Plan, Policy, Resolution, Rule, Side,
    Sides, Take,
};

use crate::world::World;

/// One row. Trees are words `path=text`, `path/` for a directory, `new<old` for a rename that the side itself knows of; the plan is `side verb path` in order, then
/// `! path kind winner` for conflicts and `halt code`.
struct Row {
    what: &'static str,
    policy: fn() -> Policy,
    agreed: &'static str,
    local: &'static str,
    remote: &'static str,
    expected: &'static [&'static str],
}

fn both_ways() -> Policy {
    let mut policy = Policy::new(Direction::Bidirectional);
    policy.guard = Guard { deletes_max_percent: 100, ..Guard::default() };
    policy.rules = vec![Rule::new("**", Resolution::KeepBoth).unwrap()];
    policy
}

fn one_way(direction: Direction) -> Policy {
    Policy { direction, ..both_ways() }
}

fn pull() -> Policy {
    one_way(Direction::Pull)
}

fn push() -> Policy {
    one_way(Direction::Push)
}

fn with(resolution: Resolution) -> Policy {
    Policy { rules: vec![Rule::new("**", resolution).unwrap()], ..both_ways() }
}

pub(crate) fn merging() -> Policy {
    with(Resolution::Merge(Merging::Auto))
}

fn merging_one_way() -> Policy {
    Policy { direction: Direction::Push, ..merging() }
}

fn manual() -> Policy {
    with(Resolution::Manual)
}

fn prefer_local() -> Policy {
    with(Resolution::Prefer(Side::Local))
}

fn newest() -> Policy {
    with(Resolution::Newest)
}

fn guarded() -> Policy {
    Policy::new(Direction::Bidirectional)
}

fn case_folding_remote() -> Policy {
    let mut policy = both_ways();
    policy.abilities.remote.folds_case = true;
    policy
}

fn files_only_remote() -> Policy {
    let mut policy = both_ways();
    policy.abilities.remote.directories = false;
    policy
}

fn files_only_local() -> Policy {
    let mut policy = case_folding_remote();
    policy.abilities.local.directories = false;
    policy
}

fn files_only_push() -> Policy {
    Policy { direction: Direction::Push, ..files_only_remote() }
}

const ROWS: &[Row] = &[
    Row { what: "nothing anywhere", policy: both_ways, agreed: "", local: "", remote: "", expected: &[] },
    Row {
        what: "new on one side",
        policy: both_ways,
        agreed: "",
        local: "x=1",
        remote: "",
        expected: &["remote create x"],
    },
    Row {
        what: "a first run of equal sides transfers nothing",
        policy: both_ways,
        agreed: "",
        local: "x=1 d/ d/y=2",
        remote: "x=1 d/ d/y=2",
        expected: &[],
    },
    Row {
        what: "an edit flows",
        policy: both_ways,
        agreed: "x=1",
        local: "x=2",
        remote: "x=1",
        expected: &["remote update x"],
    },
    Row {
        what: "a removal flows",
        policy: both_ways,
        agreed: "x=1 y=1",
        local: "y=1",
        remote: "x=1 y=1",
        expected: &["remote remove x"],
    },
    Row {
        what: "edit beats delete",
        policy: both_ways,
        agreed: "x=1 y=1",
        local: "y=1",
        remote: "x=2 y=1",
        expected: &["local create x"],
    },
    Row {
        what: "delete meets edit, the other order",
        policy: both_ways,
        agreed: "x=1 y=1",
        local: "x=2 y=1",
        remote: "y=1",
        expected: &["remote create x"],
    },
    Row {
        what: "the same edit on both sides",
        policy: both_ways,
        agreed: "x=1",
        local: "x=2",
        remote: "x=2",
        expected: &[],
    },
    Row {
        what: "keep both: newer keeps the name, both get the copy",
        policy: both_ways,
        agreed: "x.md=1",
        local: "x.md=2",
        remote: "x.md=3",
        expected: &[
            "local create x.conflict-*.md",
            "remote create x.conflict-*.md",
            "local update x.md",
            "! x.md edit-edit remote",
        ],
    },
    Row {
        what: "merged: both sides get the one version, and there is no copy",
        policy: merging,
        agreed: "x.md=1",
        local: "x.md=2",
        remote: "x.md=4",
        expected: &["local update x.md", "remote update x.md", "! x.md edit-edit merged"],
    },
    Row {
        what: "what is merged need not have been agreed on",
        policy: merging,
        agreed: "",
        local: "x.md=2",
        remote: "x.md=4",
        expected: &["local update x.md", "remote update x.md", "! x.md create-create merged"],
    },
    Row {
        what: "what cannot be merged stays twice",
        policy: merging,
        agreed: "x.md=1",
        local: "x.md=3",
        remote: "x.md=4",
        expected: &[
            "local create x.conflict-*.md",
            "remote create x.conflict-*.md",
            "local update x.md",
            "! x.md edit-edit remote",
        ],
    },
    Row {
        what: "one way, nothing is merged: it would have to be written on both sides",
        policy: merging_one_way,
        agreed: "x.md=1",
        local: "x.md=2",
        remote: "x.md=4",
        expected: &["remote create x.conflict-*.md", "remote update x.md", "! x.md edit-edit local"],
    },
    Row {
        what: "a folder and a file are never merged",
        policy: merging,
        agreed: "",
        local: "x/ x/y=1",
        remote: "x=2",
        expected: &[
            "local create x.conflict-*",
            "remote create x.conflict-*",
            "remote update x",
            "remote create x/y",
            "! x type-type local",
        ],
    },
    Row {
        what: "newest: the loser is only in history",
        policy: newest,
        agreed: "x=1",
        local: "x=2",
        remote: "x=3",
        expected: &["local update x", "! x edit-edit remote"],
    },
    Row {
        what: "prefer local",
        policy: prefer_local,
        agreed: "x=1",
        local: "x=2",
        remote: "x=3",
        expected: &["remote update x", "! x edit-edit local"],
    },
    Row {
        what: "manual touches nothing",
        policy: manual,
        agreed: "x=1",
        local: "x=2",
        remote: "x=3",
        expected: &["! x edit-edit -"],
    },
    Row {
        what: "created on both sides",
        policy: manual,
        agreed: "",
        local: "x=2",
        remote: "x=3",
        expected: &["! x create-create -"],
    },
    Row {
        what: "a manual type conflict holds everything below back",
        policy: manual,
        agreed: "",
        local: "x/ x/y=1",
        remote: "x=3",
        expected: &["! x type-type -"],
    },
    Row {
        what: "a directory keeps its name against a file",
        policy: prefer_local,
        agreed: "",
        local: "x=3",
        remote: "x/ x/y=1",
        expected: &[
            "local create x.conflict-*",
            "remote create x.conflict-*",
            "local update x",
            "local create x/y",
            "! x type-type remote",
        ],
    },
    Row {
        what: "a rename costs no transfer",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y=1 k=0",
        remote: "x=1 k=0",
        expected: &["remote move y"],
    },
    Row {
        what: "a rename of a file that the other side edited is none",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y=1 k=0",
        remote: "x=2 k=0",
        expected: &["local create x", "remote create y"],
    },
    Row {
        what: "an edit follows a rename that the endpoint is sure of",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "x=2 k=0",
        expected: &["remote move y", "local update y"],
    },
    Row {
        what: "a folder is renamed while a file in it is edited on the other side",
        policy: both_ways,
        agreed: "d/ d/e/ d/e/x=1 d/y=2",
        local: "n<d",
        remote: "d/ d/e/ d/e/x=3 d/y=2",
        expected: &[
            "remote create n",
            "remote create n/e",
            "remote move n/e/x",
            "remote move n/y",
            "local update n/e/x",
            "remote remove d/e",
            "remote remove d",
        ],
    },
    Row {
        what: "an edit follows a rename on the remote side as well",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "x=2 k=0",
        remote: "y<x k=0",
        expected: &["local move y", "remote update y"],
    },
    Row {
        what: "killed before the edited item itself was moved, the rename is still found",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y=22 k=0",
        remote: "x=22 k=0",
        expected: &["remote move y"],
    },
    Row {
        what: "killed before the edit came to the side that renamed, it still comes",
        policy: manual,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "y=2 k=0",
        expected: &["local update y"],
    },
    Row {
        what: "the same rename on both sides",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "y<x k=0",
        expected: &[],
    },
    Row {
        what: "the same item renamed differently on both sides is kept under both names, and told",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "z<x k=0",
        expected: &["remote create y", "local create z", "problem renamed_apart"],
    },
    Row {
        what: "the same, where only the content says so",
        policy: manual,
        agreed: "d/ d/x=1 k=0",
        local: "y=1 d/ k=0",
        remote: "d/ d/z=1 k=0",
        expected: &["local create d/z", "remote create y", "problem renamed_apart"],
    },
    Row {
        what: "a folder renamed differently on both sides is told once",
        policy: both_ways,
        agreed: "d/ d/e/ d/e/x=1 d/y=2 k=0",
        local: "n<d k=0",
        remote: "m<d k=0",
        expected: &[
            "local create m",
            "local create m/e",
            "local create m/e/x",
            "local create m/y",
            "remote create n",
            "remote create n/e",
            "remote create n/e/x",
            "remote create n/y",
            "problem renamed_apart",
        ],
    },
    Row {
        what: "one way, the other name is drift and no second item",
        policy: pull,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "z<x k=0",
        expected: &["local create z", "drift local y"],
    },
    Row {
        what: "a file that was renamed here and removed there is one item",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "k=0",
        expected: &["remote create y"],
    },
    Row {
        what: "renamed alike on both sides and edited on one: the edit comes, also where a person was to decide",
        policy: manual,
        agreed: "x=1 k=0",
        local: "y<x y=2 k=0",
        remote: "y<x k=0",
        expected: &["remote update y"],
    },
    Row {
        what: "renamed to where the other side moved something else is a conflict",
        policy: manual,
        agreed: "x=1 w=2 k=0",
        local: "y<x w=2 k=0",
        remote: "y<w k=0",
        expected: &["local remove w", "! y create-create -"],
    },
    Row {
        what: "the same, where the other side only has the content of what it moved",
        policy: manual,
        agreed: "x=1 w=2 k=0",
        local: "y<x w=2 k=0",
        remote: "y=2 k=0",
        expected: &["local remove w", "! y create-create -"],
    },
    Row {
        what: "renamed to where the other side put something new after it moved the file elsewhere is a conflict",
        policy: manual,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "z<x y=5 k=0",
        expected: &["local create z", "! y create-create -"],
    },
    Row {
        what: "renamed to where both sides have nothing in common with what was agreed is a conflict",
        policy: manual,
        agreed: "x=1 k=0",
        local: "y=3 k=0",
        remote: "y=5 k=0",
        expected: &["! y create-create -"],
    },
    Row {
        what: "what was moved and edited on one side is a file of its own, and the edit of the other side stays",
        policy: both_ways,
        agreed: "x=1 k=0",
        local: "y<x y=3 k=0",
        remote: "x=2 k=0",
        expected: &["local create x", "remote create y"],
    },
    Row {
        what: "an edit does not follow to where the other side has something of its own",
        policy: manual,
        agreed: "x=1 k=0",
        local: "y<x k=0",
        remote: "x=2 y=5 k=0",
        expected: &["local create x", "! y create-create -"],
    },
    Row {
        what: "one way, an edit of the destination does not follow",
        policy: pull,
        agreed: "x=1 k=0",
        local: "x=2 k=0",
        remote: "y<x k=0",
        expected: &["local create y", "drift local x"],
    },
    Row {
        what: "a directory is renamed as one",
        policy: both_ways,
        agreed: "d/ d/e/ d/e/x=1 d/y=2",
        local: "n/ n/e/ n/e/x=1 n/y=2",
        remote: "d/ d/e/ d/e/x=1 d/y=2",
        expected: &["remote move n"],
    },
    Row {
        what: "a directory that gained a file on the other side is emptied file by file and stays",
        policy: both_ways,
        agreed: "d/ d/x=1",
        local: "n/ n/x=1",
        remote: "d/ d/x=1 d/z=3",
        expected: &[
            "remote create n",
            "remote move n/x",
            "local create d",
            "local create d/z",
            "problem left_behind",
        ],
    },
    Row {
        what: "a directory is removed after what it held",
        policy: both_ways,
        agreed: "d/ d/e/ d/e/x=1 k=1",
        local: "k=1",
        remote: "d/ d/e/ d/e/x=1 k=1",
        expected: &["remote remove d/e/x", "remote remove d/e", "remote remove d"],
    },
    Row {
        what: "an emptied side halts, though an edit would bring the directory back",
        policy: both_ways,
        agreed: "d/ d/x=1 d/y=1",
        local: "",
        remote: "d/ d/x=2 d/y=1",
        expected: &["local create d", "local create d/x", "remote remove d/y", "halt root_emptied"],
    },
    Row {
        what: "a directory with an edited file below comes back, the rest goes",
        policy: both_ways,
        agreed: "d/ d/x=1 d/y=1 k=1",
        local: "k=1",
        remote: "d/ d/x=2 d/y=1 k=1",
        expected: &["local create d", "local create d/x", "remote remove d/y"],
    },
    Row {
        what: "a file becomes a directory",
        policy: both_ways,
        agreed: "x=1",
        local: "x/ x/y=2",
        remote: "x=1",
        expected: &["remote update x", "remote create x/y"],
    },
    Row {
        what: "a directory becomes a file: what it held makes way first",
        policy: both_ways,
        agreed: "x/ x/y=2 k=0",
        local: "x=1 k=0",
        remote: "x/ x/y=2 k=0",
        expected: &["remote remove x/y", "remote update x"],
    },
    Row {
        what: "a directory becomes a file while the other side edits below it",
        policy: both_ways,
        agreed: "x/ x/y=2",
        local: "x=1",
        remote: "x/ x/y=3",
        expected: &[
            "local create x.conflict-*",
            "remote create x.conflict-*",
            "local update x",
            "local create x/y",
            "! x type-type remote",
        ],
    },
    Row {
        what: "pull takes",
        policy: pull,
        agreed: "x=1",
        local: "x=1",
        remote: "x=2 y=3",
        expected: &["local update x", "local create y"],
    },
    Row {
        what: "pull leaves local work alone",
        policy: pull,
        agreed: "x=1",
        local: "x=2 n=3",
        remote: "x=1",
        expected: &["drift local n", "drift local x"],
    },
    Row {
        what: "pull brings back what was removed here",
        policy: pull,
        agreed: "x=1 y=1",
        local: "y=1",
        remote: "x=1 y=1",
        expected: &["local create x"],
    },
    Row {
        what: "pull keeps a local edit beside the remote's",
        policy: pull,
        agreed: "x=1",
        local: "x=2",
        remote: "x=3",
        expected: &["local create x.conflict-*", "local update x", "! x edit-edit remote"],
    },
    Row {
        what: "push never writes here",
        policy: push,
        agreed: "x=1 y=1",
        local: "x=1",
        remote: "x=2 y=1 z=1",
        expected: &["remote remove y", "drift remote x", "drift remote z"],
    },
    Row {
        what: "most of the items gone halts",
        policy: guarded,
        agreed: "a=1 b=1 c=1",
        local: "a=1",
        remote: "a=1 b=1 c=1",
        expected: &["remote remove c", "remote remove b", "halt too_many_removals"],
    },
    Row {
        what: "a rename of everything does not halt",
        policy: guarded,
        agreed: "a=1 b=2 c=3",
        local: "x=1 y=2 z=3",
        remote: "a=1 b=2 c=3",
        expected: &["remote move x", "remote move y", "remote move z"],
    },
    Row {
        what: "an emptied side halts",
        policy: guarded,
        agreed: "a=1",
        local: "",
        remote: "a=1",
        expected: &["remote remove a", "halt root_emptied", "halt too_many_removals"],
    },
    Row {
        what: "names that fold together are reported, the agreed one goes on",
        policy: case_folding_remote,
        agreed: "readme=1",
        local: "readme=2 README=3",
        remote: "readme=1",
        expected: &["remote update readme", "problem name_collision"],
    },
    Row {
        what: "below a folder whose name folds, nothing is written either",
        policy: case_folding_remote,
        agreed: "docs/ docs/x=1",
        local: "docs/ docs/x=1 Docs/ Docs/y=1",
        remote: "docs/ docs/x=1",
        expected: &["problem name_collision"],
    },
    Row {
        what: "a folder goes with the last file that the other side, which keeps none, removed from it",
        policy: files_only_remote,
        agreed: "d/ d/e/ d/e/x=1 k=1",
        local: "d/ d/e/ d/e/x=1 k=1",
        remote: "k=1",
        expected: &["local remove d/e/x", "local remove d/e", "local remove d"],
    },
    Row {
        what: "a folder in which something agreed stays does not go",
        policy: files_only_remote,
        agreed: "d/ d/x=1 d/y=2 d/e/ d/e/z=3",
        local: "d/ d/x=1 d/y=2 d/e/ d/e/z=3",
        remote: "d/y=2 d/e/z=3",
        expected: &["local remove d/x"],
    },
    Row {
        what: "a folder with something agreed further down does not go",
        policy: files_only_remote,
        agreed: "d/ d/x=1 d/e/ d/e/z=3",
        local: "d/ d/x=1 d/e/ d/e/z=3",
        remote: "d/e/z=3",
        expected: &["local remove d/x"],
    },
    Row {
        what: "nor does one with something new, edited, or made empty by a user in it",
        policy: files_only_remote,
        agreed: "a/ a/x=1 b/ b/x=1 b/y=2 c/ c/x=1 k=1",
        local: "a/ a/x=1 a/new=3 b/ b/x=1 b/y=4 c/ c/x=1 c/empty/ k=1",
        remote: "k=1",
        expected: &[
            "remote create a/new",
            "remote create b/y",
            "local remove c/x",
            "local remove b/x",
            "local remove a/x",
        ],
    },
    Row {
        what: "a folder that a user emptied stays, as one that was always empty does",
        policy: files_only_remote,
        agreed: "d/ d/x=1 k=1",
        local: "d/ e/ k=1",
        remote: "d/x=1 k=1",
        expected: &["remote remove d/x"],
    },
    Row {
        what: "pushed only, nothing goes here",
        policy: files_only_push,
        agreed: "d/ d/x=1 k=1",
        local: "d/ d/x=1 k=1",
        remote: "k=1",
        expected: &["remote create d/x"],
    },
    Row {
        what: "a folder renamed on a side that keeps none goes here file by file, and then itself",
        policy: files_only_remote,
        agreed: "d/ d/x=1 d/y=2",
        local: "d/ d/x=1 d/y=2",
        remote: "n/x=1 n/y=2",
        expected: &["local move n/x", "local move n/y", "local remove d"],
    },
    Row {
        what: "a file takes the place of a folder on a side that keeps none",
        policy: files_only_remote,
        agreed: "x/ x/e/ x/e/y=2 k=1",
        local: "x/ x/e/ x/e/y=2 k=1",
        remote: "x=1 k=1",
        expected: &["local remove x/e/y", "local remove x/e", "local update x"],
    },
    Row {
        what: "a file takes the place of a folder in which the other side edits: both stay",
        policy: files_only_remote,
        agreed: "x/ x/y=2 k=1",
        local: "x/ x/y=3 k=1",
        remote: "x=1 k=1",
        expected: &[
            "local create x.conflict-*",
            "remote create x.conflict-*",
            "remote remove x",
            "remote create x/y",
            "! x type-type local",
        ],
    },
    Row {
        what: "a folder takes the place of a file, from the side that keeps none",
        policy: files_only_remote,
        agreed: "x=1 k=1",
        local: "x=1 k=1",
        remote: "x/y=2 k=1",
        expected: &["local remove x", "local create x/y"],
    },
    Row {
        what: "a folder takes the place of a file, to the side that keeps none",
        policy: files_only_remote,
        agreed: "x=1 k=1",
        local: "x/ x/y=2 k=1",
        remote: "x=1 k=1",
        expected: &["remote remove x", "remote create x/y"],
    },
    Row {
        what: "a folder takes the place of a file that was edited here: both stay",
        policy: files_only_remote,
        agreed: "x=1 k=1",
        local: "x=3 k=1",
        remote: "x/y=2 k=1",
        expected: &[
            "local create x.conflict-*",
            "remote create x.conflict-*",
            "local update x",
            "local create x/y",
            "! x type-type remote",
        ],
    },
    Row {
        what: "a folder that nobody tells of folds together with another one",
        policy: files_only_local,
        agreed: "docs/x=1",
        local: "docs/x=1 Docs/y=1 new/y=1",
        remote: "docs/ docs/x=1",
        expected: &["remote create new/y", "problem name_collision"],
    },
    Row {
        what: "a file takes the place of a folder, to the side that keeps none",
        policy: files_only_remote,
        agreed: "x/ x/y=2 k=1",
        local: "x=1 k=1",
        remote: "x/y=2 k=1",
        expected: &["remote remove x/y", "remote create x"],
    },
];

pub(crate) fn fill(world: &mut World, side: Side, tree: &str) {
    for word in tree.split_whitespace() {
        if let Some((to, from)) = word.split_once('<') {
            world.hints = true;
            world.rename(side, from, to);
            continue;
        }
        match word.split_once('=') {
            Some((path, text)) => {
                let same = world.trees[side]
                    .things
                    .get(&crate::world::path(path))
                    .is_some_and(|thing| thing.text == text);
                if !same {
                    world.put(side, path, Kind::FILE, text);
                }
            }
            None => world.put(side, word.trim_end_matches('/'), Kind::Directory, ""),
        }
    }
    let wanted: Vec<String> = tree
        .split_whitespace()
        .map(|word| word.split(['=', '<']).next().unwrap().trim_end_matches('/').to_owned())
        .collect();
    let renamed: Vec<&str> =
        tree.split_whitespace().filter_map(|word| Some(word.split_once('<')?.0)).collect();
    let carried = |path: &str| renamed.iter().any(|to| path.starts_with(&format!("{to}/")));
    let there: Vec<String> = world.trees[side].things.keys().map(|path| path.as_str().to_owned()).collect();
    for path in there.iter().filter(|path| !wanted.contains(path) && !carried(path)) {
        world.remove(side, path);
    }
}

pub(crate) fn words(plan: &Plan) -> Vec<String> {
    let mut words: Vec<String> =
        plan.steps.iter().map(|step| format!("{} {} {}", step.side, step.verb(), step.path)).collect();
    for conflict in &plan.conflicts {
        let winner = match &conflict.merged {
            Some(_) => "merged",
            None => conflict.winner.map_or("-", Side::name),
        };
        words.push(format!("! {} {} {winner}", conflict.path, conflict.kind));
    }
    words.extend(plan.halts.iter().map(|halt| format!("halt {}", halt.code)));
    words.extend(plan.drift.iter().map(|(side, path)| format!("drift {side} {path}")));
    words.extend(plan.problems.iter().map(|problem| format!("problem {}", problem.code)));
    words
}

fn matches(word: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => word.starts_with(start) && word.ends_with(end),
        None => word == pattern,
    }
}

#[test]
fn rows() {
    for row in ROWS {
        let mut world = World::new(both_ways());
        // What a side keeps it has always kept.
        world.policy.abilities = (row.policy)().abilities;
        fill(&mut world, Side::Local, row.agreed);
        let first = world.plan(&Choices::default());
        world.apply(&first);
        fill(&mut world, Side::Local, row.local);
        fill(&mut world, Side::Remote, row.remote);
        world.policy = (row.policy)();
        let made = words(&world.plan(&Choices::default()));
        let fits = made.len() == row.expected.len()
            && made.iter().zip(row.expected).all(|(word, pattern)| matches(word, pattern));
        assert!(fits, "{}:\n  expected {:#?}\n  planned {made:#?}", row.what, row.expected);
    }
}

#[test]
fn a_person_may_take_a_merged_version_whatever_the_policy() {
    let mut world = World::new(both_ways());
    fill(&mut world, Side::Local, "a=1");
    let first = world.plan(&Choices::default());
    world.apply(&first);
    fill(&mut world, Side::Local, "a=2");
    fill(&mut world, Side::Remote, "a=3");
    world.policy = manual();
    let id = world.plan(&Choices::default()).conflicts[0].id.clone();
    let digest = Digest::of(b"2 and 3");
    let merge = MergeResult::Merged { digest, size: 7, marked: false, note: None };
    let mut choices = Choices::default();
    choices.merges.insert(id.clone(), merge.clone());
    assert_eq!(words(&world.plan(&choices)), ["! a edit-edit -"], "nobody asked for it");
    choices.takes.insert(id, Take::Merged);
    let made = world.plan(&choices);
    assert_eq!(words(&made), ["local update a", "remote update a", "! a edit-edit merged"]);
    assert!(made.steps.iter().all(|step| step.item().digest == Some(digest)));
    assert!(!made.conflicts[0].open);
    let mut other = Choices::default();
    other.takes.insert("of another conflict".into(), Take::Merged);
    other.merges.insert("of another conflict".into(), merge);
    assert_eq!(words(&world.plan(&other)), ["! a edit-edit -"], "the versions are others by now");
}

#[test]
fn a_merged_version_is_not_written_where_the_direction_forbids_it() {
    let mut world = World::new(both_ways());
    fill(&mut world, Side::Local, "a=1");
    let first = world.plan(&Choices::default());
    world.apply(&first);
    fill(&mut world, Side::Local, "a=2");
    fill(&mut world, Side::Remote, "a=3");
    for (direction, forbidden) in [(Direction::Push, Side::Local), (Direction::Pull, Side::Remote)] {
        world.policy = Policy { direction, ..manual() };
        let id = world.plan(&Choices::default()).conflicts[0].id.clone();
        let mut choices = Choices::default();
        let merged = MergeResult::Merged { digest: Digest::of(b"5"), size: 1, marked: false, note: None };
        choices.merges.insert(id.clone(), merged);
        choices.takes.insert(id, Take::Merged);
        let made = world.plan(&choices);
        assert!(made.steps.iter().all(|step| step.side != forbidden), "{direction}: {:?}", words(&made));
        assert!(made.conflicts[0].merged.is_none(), "{direction}");
    }
}

#[test]
fn a_wish_is_granted_only_while_what_it_was_made_from_is_there() {
    let digest = |text: &str| Digest::of(text.as_bytes());
    for lazy in [false, true] {
        let mut world = World::new(both_ways());
        world.lazy = lazy;
        fill(&mut world, Side::Local, "a=1 b=2 c=3");
        let first = world.plan(&Choices::default());
        world.apply(&first);
        let mut choices = Choices::default();
        choices.desired.insert(crate::world::path("a"), world.item(Side::Local, "b"));
        choices.desired.insert(crate::world::path("b"), None);
        let seen = |text: &str| Sides { local: Some(digest(text)), remote: Some(digest(text)) };
        let held = [("a", seen("1")), ("b", seen("2"))].map(|(at, held)| (crate::world::path(at), held));
        choices.made_from.push(held.into());
        let granted = ["local update a", "remote update a", "local remove b", "remote remove b"];
        assert_eq!(words(&world.plan(&choices)), granted, "nothing has changed");
        fill(&mut world, Side::Remote, "a=1 b=5 c=4");
        assert_eq!(words(&world.plan(&choices)), ["local update c", "problem changed"], "b was edited");
        fill(&mut world, Side::Remote, "b=2 c=4");
        assert_eq!(words(&world.plan(&choices)), ["local update c", "problem changed"], "a is gone");
        fill(&mut world, Side::Remote, "a=2 b=2 c=4");
        let rest = ["local update a", "local update c", "local remove b", "remote remove b"];
        assert_eq!(words(&world.plan(&choices)), rest, "one side holds already what was wished");
    }
}
